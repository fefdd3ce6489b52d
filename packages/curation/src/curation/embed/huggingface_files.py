"""What the files of a Hugging Face model say without loading its weights: configuration, input, identity."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

from contracts.errors import MissingInput, UserError
from contracts.publish import sha256_file
from curation.embed.config import EmbedConfig
from curation.embed.neural_input import InputRule, rule_of_processor

# Side in px where neither the settings nor the model's files say one.
FALLBACK_PX = 224


def load_transformers(spec: str) -> ModuleType:
    """Import transformers, quiet. Errors: UserError that says what to install."""
    try:
        import transformers
    except ImportError:
        raise UserError(
            f"the model {spec} needs transformers and it is not installed: install winnow-curation[models]"
        ) from None
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    module: ModuleType = transformers
    return module


def cannot_load(spec: str, error: Exception) -> MissingInput:
    """The error of a folder or hub id that transformers cannot load."""
    detail = str(error).strip().splitlines()[0]
    return MissingInput(f"the model {spec} cannot be loaded ({detail}): give a folder or a hub id")


def read_config(spec: str) -> Any:
    """The model's configuration. Errors: MissingInput."""
    try:
        return load_transformers(spec).AutoConfig.from_pretrained(spec)
    except (OSError, ValueError, KeyError) as error:
        raise cannot_load(spec, error) from None


def weights_identity(spec: str, config: Any) -> str:
    """Checksums of a folder's weights; of a hub model its revision."""
    weights = sorted(Path(spec).glob("*.safetensors")) if Path(spec).is_dir() else []
    revision = getattr(config, "_commit_hash", None) or spec
    return " ".join(sha256_file(file)[:16] for file in weights) or revision


def input_rule(spec: str, config: Any, settings: EmbedConfig) -> InputRule:
    """How the model's files and the settings want its input."""
    from transformers.image_processing_base import ImageProcessingMixin

    stated = getattr(config, "image_size", None) or getattr(getattr(config, "vision_config", None), "image_size", None)
    side = settings.image_px or (stated if isinstance(stated, int) else FALLBACK_PX)
    try:
        values, _ = ImageProcessingMixin.get_image_processor_dict(spec)
    except OSError:
        values = {}
    return rule_of_processor(values, side).with_settings(settings.resize, settings.image_px, side)
