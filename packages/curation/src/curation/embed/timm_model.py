"""Any model of timm: `timm:NAME` with its pretrained weights, `timm:NAME=FILE` with those of a checkpoint.

The vector is what timm gives before the classifier; the input is what the model's data configuration says.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import ModuleType
from typing import Any

from contracts.errors import BrokenArtifact, MissingInput, UserError, nearest_name
from curation.embed.config import EmbedConfig
from curation.embed.neural_embedder import NeuralEmbedder
from curation.embed.neural_input import InputRule
from curation.embed.torch_device import load_torch

PREFIX = "timm:"
# Names under which training programs keep the weights in a checkpoint.
NESTED = ("state_dict_ema", "model_ema", "state_dict", "model")


class TimmEmbedder(NeuralEmbedder):
    """Errors: UserError (timm is not installed), MissingInput (no such name or file), BrokenArtifact (checkpoint)."""

    def __init__(self, spec: str, settings: EmbedConfig) -> None:
        name, _, file = spec.removeprefix(PREFIX).partition("=")
        timm = _load_timm(spec)
        model = _with_checkpoint(timm, name, Path(file)) if file else _pretrained(timm, name)
        if settings.image_px is not None and hasattr(model, "set_input_size"):
            model.set_input_size((settings.image_px, settings.image_px))
        rule = input_rule(timm.data.resolve_model_data_config(model), settings)
        super().__init__(spec, model, rule, _identity(model), settings)

    def features(self, pixels: Any) -> Any:
        """Torch tensors. Shapes: [B, 3, H, W] -> [B, D]."""
        return self._model(pixels)


def _load_timm(spec: str) -> ModuleType:
    load_torch()
    try:
        import timm
    except ImportError:
        raise UserError(f"the model {spec} needs timm and it is not installed: run `pip install timm`") from None
    module: ModuleType = timm
    return module


def _pretrained(timm: ModuleType, name: str) -> Any:
    _require_name(timm, name)
    if ":" not in name and not timm.is_model_pretrained(name):
        raise MissingInput(f"timm has no pretrained weights of {name}: give a checkpoint, {PREFIX}{name}=FILE")
    try:
        return timm.create_model(name, pretrained=True, num_classes=0)
    except (OSError, RuntimeError, ValueError) as error:
        detail = str(error).strip().splitlines()[0]
        raise MissingInput(
            f"the weights of {PREFIX}{name} cannot be had ({detail}): give a checkpoint, {PREFIX}{name}=FILE"
        ) from None


def _with_checkpoint(timm: ModuleType, name: str, file: Path) -> Any:
    _require_name(timm, name)
    if not file.is_file():
        raise MissingInput(f"there is no checkpoint {file} of timm's {name}")
    model = timm.create_model(name, pretrained=False, num_classes=0)
    weights = {key.removeprefix("module."): value for key, value in _state(file).items()}
    wanted = model.state_dict()
    # The classifier's weights are left out; anything else must fit.
    wrong = [key for key, value in wanted.items() if key not in weights or weights[key].shape != value.shape]
    if wrong:
        raise BrokenArtifact(
            f"{file} does not fit timm's {name}: {len(wrong)} of {len(wanted)} weights are missing or of another "
            f"shape, the first: {wrong[0]}"
        )
    model.load_state_dict({key: weights[key] for key in wanted})
    return model


def _state(file: Path) -> dict[str, Any]:
    """Weights of a safetensors file or of a torch checkpoint, which is read without running what it may contain."""
    torch = load_torch()
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            found: Any = load_file(file)
        else:
            found = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and safetensors raise classes of their own for damaged files
        raise BrokenArtifact(f"{file} is no checkpoint that can be read ({str(error).splitlines()[0]})") from None
    inner = next(
        (found[name] for name in NESTED if isinstance(found, dict) and isinstance(found.get(name), dict)), found
    )
    if not isinstance(inner, dict):
        raise BrokenArtifact(f"{file} holds a {type(inner).__name__} where a mapping of weights was wanted")
    return {key: value for key, value in inner.items() if isinstance(value, torch.Tensor)}


def _require_name(timm: ModuleType, name: str) -> None:
    # A name with a colon (hf-hub:...) says where the model is.
    if ":" not in name and not timm.is_model(name):
        raise MissingInput(f"timm has no model {name!r} ({nearest_name(name, timm.list_models())})")


def input_rule(data: dict[str, Any], settings: EmbedConfig) -> InputRule:
    """The evaluation transform of timm's data configuration: short side to size / crop_pct, then a centre crop."""
    size = int(data["input_size"][-1])
    whole = int(size / float(data.get("crop_pct") or 1))
    mean, std = tuple(data["mean"]), tuple(data["std"])
    squash = data.get("crop_mode") == "squash"
    rule = InputRule("square", size, None, mean, std) if squash else InputRule("short-side", whole, size, mean, std)
    return rule.with_settings(settings.resize, settings.image_px, settings.image_px or size)


def _identity(model: Any) -> str:
    """A hash of the weights: names of pretrained models stay when their files change."""
    digest = hashlib.sha256()
    for key, value in sorted(model.state_dict().items()):
        digest.update(key.encode())
        digest.update(value.cpu().contiguous().float().numpy().tobytes())
    return f"weights {digest.hexdigest()[:16]}"
