"""Start from a model that is there: its backbone, resized to this run's crops, and its heads where they fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open
from torch import nn

from contracts.errors import ConfigError
from contracts.model_folder import BACKBONE_FILE, HEADS_FILE, read_model_folder
from contracts.publish import sha256_file
from trainer.export.find_model import find_model
from trainer.export.model_folder import LoadedModel, load_model
from trainer.methods.dinov2 import DinoV2
from trainer.models.heads import PrototypeHead
from trainer.models.resize_positions import resized_positions
from trainer.models.vision_transformer import VisionTransformer, VitSettings

_MUST_AGREE = (
    "embed_dim",
    "depth",
    "num_heads",
    "patch_size",
    "in_channels",
    "registers",
    "ffn",
    "mlp_ratio",
    "position",
)


@dataclass(frozen=True)
class InitialModel:
    """A model folder to start from: where it is, what its files are, shapes of its heads' tensors by name."""

    folder: Path
    fingerprint: str
    head_shapes: Mapping[str, tuple[int, ...]]

    def lacks(self, student: nn.ModuleDict) -> list[str]:
        """Heads of a student that this model does not bring, or in another shape only."""
        return [
            name
            for name, head in student.items()
            if name != "backbone"
            and {f"{name}.{key}": tuple(value.shape) for key, value in head.state_dict().items()}
            != {key: shape for key, shape in self.head_shapes.items() if key.startswith(f"{name}.")}
        ]


def find_initial_model(spec: str) -> InitialModel:
    """Look at a run, model folder or hub id without loading its weights.

    Errors: MissingInput, BrokenArtifact.
    """
    folder = read_model_folder(find_model(spec))
    sums = folder.provenance.get("files", {})
    names = [BACKBONE_FILE, *([HEADS_FILE] if folder.has_heads else [])]
    prints = [sums.get(name) or sha256_file(folder.path / name) for name in names]
    shapes = {}
    if folder.has_heads:
        with safe_open(folder.heads_path, framework="pt") as heads:
            shapes = {name: tuple(heads.get_slice(name).get_shape()) for name in heads.keys()}  # noqa: SIM118
    return InitialModel(folder.path, "+".join(value[:16] for value in prints), shapes)


def start_from(model: InitialModel, method: DinoV2) -> list[str]:
    """Put the model's weights into student and teacher; returns the names of the parts that were taken.

    Heads of other shapes than the method's are left as they are.
    Errors: ConfigError when the backbone is another one than the settings ask for.
    """
    loaded = load_model(model.folder)
    backbone = _fitting_backbone(loaded, method.settings.backbone)
    settings = method.settings.backbone
    state = resized_positions(backbone.state_dict(), settings.image_size, settings.patch_size)
    parts: dict[str, dict[str, object]] = {"backbone": dict(state)}
    for name, head in loaded.heads.items():
        if name in method.student and _same_shape(head, method.student[name]):
            parts[name] = dict(head.state_dict())
    for modules in (method.student, method.teacher):
        for name, values in parts.items():
            modules[name].load_state_dict(values)
    return list(parts)


def _fitting_backbone(loaded: LoadedModel, asked: VitSettings) -> VisionTransformer:
    backbone = loaded.backbone
    if not isinstance(backbone, VisionTransformer):
        raise ConfigError(
            f"model.init_from {loaded.folder} is a {loaded.description.name}, which cannot be trained on: name a "
            "DINOv2 model"
        )
    found = backbone.settings
    for name in _MUST_AGREE:
        if getattr(found, name) != getattr(asked, name):
            raise ConfigError(
                f"model.init_from {loaded.folder} has {name} {getattr(found, name)} and the settings ask for "
                f"{getattr(asked, name)}: set model.arch, model.ffn, model.registers and crops.channels to what it is"
            )
    if (found.layer_scale is None) != (asked.layer_scale is None):
        raise ConfigError("model.layer_scale is none, but the model to start from has gains: set it to a number")
    return backbone


def _same_shape(one: nn.Module, other: nn.Module) -> bool:
    assert isinstance(one, PrototypeHead)
    shapes = [{name: value.shape for name, value in head.state_dict().items()} for head in (one, other)]
    return shapes[0] == shapes[1]
