"""Write and open model folders: backbone and heads in, the ecosystem's files out, and back.

Layout: contracts/model_folder.py. Backbones that Hugging Face's Dinov2 cannot express keep official names under our
own model_type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from contracts.config import config_sha256 as sha256_of
from contracts.errors import BrokenArtifact
from contracts.model_folder import (
    BACKBONE_FILE,
    CONFIG_FILE,
    HEADS_FILE,
    PREPROCESSOR_FILE,
    ModelFolder,
    read_model_folder,
    write_provenance,
)
from contracts.publish import draft, publish_json, read_json
from trainer.export.find_model import find_model
from trainer.export.foreign_backbone import ForeignBackbone, open_foreign
from trainer.export.heads_file import build_heads, head_tensors
from trainer.export.hugging_face_config import (
    DINOV2_TYPES,
    OWN_MODEL_TYPE,
    hugging_face_config,
    inexpressible,
    preprocessor_config,
    settings_from_config,
)
from trainer.export.name_maps import HUGGING_FACE
from trainer.models.vision_transformer import VisionTransformer

Backbone = VisionTransformer | ForeignBackbone
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class ModelDescription:
    """What a model folder says about its model besides the weights.

    `name` is an architecture's name; `method` what made it (dinov2, distillation, import); `step` the optimiser steps
    it was trained for; `config_sha256` that of the run's settings; mean and std normalise images in 0..1; `origin` is
    free-form provenance (data, teacher, file).
    """

    name: str
    method: str
    step: int = 0
    config_sha256: str = ""
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    origin: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LoadedModel:
    """An opened model in float32 and evaluation mode; `heads` is empty for a model without heads."""

    backbone: Backbone
    heads: nn.ModuleDict
    description: ModelDescription
    folder: Path

    @property
    def image_px(self) -> int:
        """Side of the images that the backbone is made for."""
        backbone = self.backbone
        return backbone.image_size if isinstance(backbone, ForeignBackbone) else backbone.settings.image_size


def export_model(modules: nn.ModuleDict, description: ModelDescription, out: Path | str) -> Path:
    """Publish "backbone" (and "dino_head", "ibot_head" where there are any) as a model folder.

    Off the native grid (`image_size`), transformers resamples the position table in its own way; provenance.json says
    which convention the model was trained with, and load_model follows that one.
    """
    backbone = cast(VisionTransformer, modules["backbone"])
    settings = backbone.settings
    mean, std = (
        _per_channel(description.mean, settings.in_channels),
        _per_channel(description.std, settings.in_channels),
    )
    with draft(out) as rough:
        rough.mkdir()
        publish_json(rough / CONFIG_FILE, hugging_face_config(settings))
        publish_json(rough / PREPROCESSOR_FILE, preprocessor_config(settings.image_size, mean, std))
        _save(_stored_backbone(backbone), rough / BACKBONE_FILE)
        if heads := head_tensors(modules):
            _save(heads, rough / HEADS_FILE)
        write_provenance(
            rough, config_sha256=description.config_sha256 or sha256_of({}), fields=_provenance(backbone, description)
        )
    return Path(out)


def load_model(spec: Path | str, *, resampling: str | None = None, hub_cache: Path | None = None) -> LoadedModel:
    """Open a run, a model folder, a Hugging Face folder or a hub id.

    `resampling` names how positions are resized off the native grid; None follows the folder's provenance, or
    transformers for a plain Hugging Face model.
    Errors: MissingInput, BrokenArtifact, NewerVersion, each in one sentence.
    """
    folder = read_model_folder(find_model(spec, hub_cache))
    description = _description(folder)
    if folder.config["model_type"] in (*DINOV2_TYPES, OWN_MODEL_TYPE):
        backbone: Backbone = _load_backbone(folder, resampling or folder.provenance.get("position_resampling"))
    else:
        backbone = open_foreign(folder.path)
    heads = build_heads(load_file(folder.heads_path)) if folder.has_heads else nn.ModuleDict()
    return LoadedModel(backbone.eval(), heads.eval(), description, folder.path)


def _stored_backbone(backbone: VisionTransformer) -> dict[str, Tensor]:
    """The backbone's tensors under the names of the file."""
    state = {name: value.detach().float().cpu() for name, value in backbone.state_dict().items()}
    if inexpressible(backbone.settings):
        return state
    if backbone.settings.layer_scale is None:
        ones = torch.ones(backbone.embed_dim)
        state |= {f"blocks.{i}.ls{n}.gamma": ones.clone() for i in range(backbone.depth) for n in (1, 2)}
    return HUGGING_FACE.to_foreign(state)


def _save(tensors: Mapping[str, Tensor], file: Path) -> None:
    save_file({name: tensors[name].contiguous() for name in sorted(tensors)}, file, metadata={"format": "pt"})


def _load_backbone(folder: ModelFolder, resampling: str | None) -> VisionTransformer:
    settings = settings_from_config(folder.config, resampling)
    state = load_file(folder.backbone_path)
    if folder.config["model_type"] != OWN_MODEL_TYPE:
        state = official_from_hugging_face(state)
    backbone = VisionTransformer(settings)
    try:
        backbone.load_state_dict({name: value.float() for name, value in state.items()})
    except RuntimeError as error:
        text = " ".join(str(error).split())[:300]
        raise BrokenArtifact(f"{folder.backbone_path} does not fit its {CONFIG_FILE}: {text}") from None
    return backbone


def official_from_hugging_face(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Official names for a Dinov2 checkpoint; a task model's own head is left out, a missing mask token is zeros."""
    bodies = ("embeddings.", "encoder.", "layernorm.")
    inner = {name.removeprefix("dinov2.").removeprefix("dinov2_with_registers."): t for name, t in state.items()}
    official = HUGGING_FACE.to_official({name: t for name, t in inner.items() if name.startswith(bodies)})
    if "mask_token" not in official and "cls_token" in official:
        official["mask_token"] = official["cls_token"].new_zeros(1, official["cls_token"].shape[-1])
    return official


def _provenance(backbone: VisionTransformer, description: ModelDescription) -> dict[str, Any]:
    settings = backbone.settings
    note = "; ".join(inexpressible(settings))
    return {
        "model": description.name,
        "method": description.method,
        "step": description.step,
        "position_resampling": settings.resampling,
        "native_image_px": settings.image_size,
        "mean": list(description.mean),
        "std": list(description.std),
        "origin": dict(description.origin),
        **({"only_for_winnow": f"transformers cannot load this model: {note}"} if note else {}),
    }


def _description(folder: ModelFolder) -> ModelDescription:
    """From provenance.json, or from the image processor of a plain Hugging Face folder."""
    said = folder.provenance
    processor: Mapping[str, Any] = {}
    if (folder.path / PREPROCESSOR_FILE).is_file():
        processor = read_json(folder.path / PREPROCESSOR_FILE)
    return ModelDescription(
        name=str(said.get("model", folder.config["model_type"])),
        method=str(said.get("method", "unknown")),
        step=int(said.get("step", 0)),
        config_sha256=str(said.get("config_sha256", "")),
        mean=tuple(processor.get("image_mean") or IMAGENET_MEAN),
        std=tuple(processor.get("image_std") or IMAGENET_STD),
        origin=dict(said.get("origin", {})),
    )


def _per_channel(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    return values * channels if len(values) == 1 else values
