"""Any Hugging Face vision model, from a folder or the hub; also the export/ folder of our trainer.

The vector is the model's image feature where it has one (CLIP, SigLIP), the class token of a transformer
(DINOv2, DINOv3, ViT), else the mean over positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.errors import MissingInput, UserError
from contracts.publish import sha256_file
from curation.embed.config import EmbedConfig
from curation.embed.neural_input import InputRule, rule_of_processor, shape_groups
from curation.embed.torch_device import device_of, dtype_of, load_torch, use_threads
from curation.index.mirror_cosine import unit_rows

# Side in px where neither the settings nor the model's files say one.
FALLBACK_PX = 224


class HuggingFaceEmbedder:
    """No thresholds: nobody measured them for an arbitrary model, so dedup asks for one."""

    odd_dims = 0
    max_side_px: int | None = None
    default_threshold: float | None = None
    default_against_threshold: float | None = None

    def __init__(self, spec: str, settings: EmbedConfig) -> None:
        use_threads(settings)
        self.name = spec
        self._device, self._dtype = device_of(settings), dtype_of(settings)
        self._model = _load_model(spec).to(self._device, self._dtype).eval()
        self._rule = _input_rule(spec, self._model.config, settings)
        weights = sorted(Path(spec).glob("*.safetensors")) if Path(spec).is_dir() else []
        revision = getattr(self._model.config, "_commit_hash", None) or spec
        origin = " ".join(sha256_file(file)[:16] for file in weights) or revision
        self.version = f"{origin}, {self._rule.describe()}, {settings.precision}"
        side = self._rule.crop_px or self._rule.side_px
        self.dim = int(self._forward(np.zeros((1, 3, side, side), np.float32)).shape[1])

    def embed_images(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Shapes: uint8 [H, W, 3] each -> float32 [len(images), dim], rows of length 1."""
        inputs = [self._rule.prepare(image) for image in images]
        out = np.empty((len(images), self.dim), np.float32)
        for positions in shape_groups(inputs).values():
            out[positions] = self._forward(np.stack([inputs[p] for p in positions]))
        return unit_rows(out)

    def _forward(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        torch = load_torch()
        pixels = torch.from_numpy(batch).to(self._device, self._dtype)
        with torch.inference_mode():
            features = _features(self._model, pixels)
        vectors: NDArray[np.float32] = features.float().cpu().numpy()
        return vectors


def _load_model(spec: str) -> Any:
    try:
        import transformers
    except ImportError:
        raise UserError(
            f"the model {spec} needs transformers and it is not installed: install winnow-curation[models]"
        ) from None
    transformers.logging.set_verbosity_error()
    try:
        return transformers.AutoModel.from_pretrained(spec)
    except (OSError, ValueError, KeyError) as error:
        detail = str(error).strip().splitlines()[0]
        raise MissingInput(f"the model {spec} cannot be loaded ({detail}): give a folder or a hub id") from None


def _input_rule(spec: str, config: Any, settings: EmbedConfig) -> InputRule:
    from transformers.image_processing_base import ImageProcessingMixin

    stated = getattr(config, "image_size", None) or getattr(getattr(config, "vision_config", None), "image_size", None)
    side = settings.image_px or (stated if isinstance(stated, int) else FALLBACK_PX)
    try:
        values, _ = ImageProcessingMixin.get_image_processor_dict(spec)
    except OSError:
        values = {}
    rule = rule_of_processor(values, side)
    if settings.resize == "model" and settings.image_px is None:
        return rule
    resize = rule.resize if settings.resize == "model" else settings.resize
    # A centre crop keeps every image of one batch in one shape.
    crop = side if resize == "short-side" else None
    return InputRule(resize, side, crop, rule.mean, rule.std)


def _features(model: Any, pixels: Any) -> Any:
    if hasattr(model, "get_image_features"):
        found = model.get_image_features(pixel_values=pixels)
        return getattr(found, "pooler_output", found)
    hidden = model(pixel_values=pixels).last_hidden_state
    if hidden.ndim == 4:
        return hidden.mean(dim=(2, 3))
    embeddings = getattr(model, "embeddings", None)
    return hidden[:, 0] if hasattr(embeddings, "cls_token") else hidden.mean(dim=1)
