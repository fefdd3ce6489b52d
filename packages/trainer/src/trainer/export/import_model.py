"""`trainer import`: any known checkpoint or model as a model folder of ours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torch import nn

from contracts.config import config_sha256
from contracts.errors import BrokenArtifact, ConfigError
from contracts.model_folder import BACKBONE_FILE
from contracts.publish import sha256_file
from trainer.export.find_model import find_model
from trainer.export.foreign_backbone import ForeignBackbone
from trainer.export.heads_file import build_heads
from trainer.export.infer_settings import infer_settings
from trainer.export.model_folder import LoadedModel, ModelDescription, export_model, load_model
from trainer.export.output_folder import check_output_folder
from trainer.export.read_checkpoint import read_checkpoint
from trainer.export.timm_layout import timm_folder
from trainer.layers.position_table import resample_position_table, resampling_named
from trainer.models.sizes import MODEL_SIZES
from trainer.models.vision_transformer import VisionTransformer, VitSettings


def import_model(
    spec: Path | str,
    out: Path | str,
    *,
    image_px: int | None = None,
    num_heads: int | None = None,
    resampling: str | None = None,
) -> LoadedModel:
    """Read a checkpoint file, a folder or a hub id (Hugging Face, timm) and publish a model folder; returns it opened.

    image_px: resize the position table to this native image side. num_heads: attention heads of an unusual model.
    resampling: convention of the model off its native grid; None takes that of the released models.
    Errors: UserError in one sentence.
    """
    check_output_folder(Path(out))
    file = Path(spec)
    backbone, heads, description = _from_file(file, num_heads) if file.is_file() else _from_folder(spec, num_heads)
    settings = replace(backbone.settings, resampling=resampling or backbone.settings.resampling)
    made = _at_native_size(backbone, replace(settings, image_size=image_px or settings.image_size))
    export_model(nn.ModuleDict({"backbone": made, **dict(heads.items())}), description, out)
    return load_model(out)


def _at_native_size(backbone: VisionTransformer, settings: VitSettings) -> VisionTransformer:
    """The same weights made for another image side; positions are resampled by the settings' own convention, so that
    the outputs at that side stay what they were."""
    made = VisionTransformer(settings)
    state = backbone.state_dict()
    if "pos_embed" in state:
        grid = (settings.image_size // settings.patch_size,) * 2
        state["pos_embed"] = resample_position_table(state["pos_embed"], grid, resampling_named(settings.resampling))
    made.load_state_dict(state)
    return made


Parts = tuple[VisionTransformer, nn.ModuleDict, ModelDescription]


def _from_file(file: Path, num_heads: int | None) -> Parts:
    found = read_checkpoint(file)
    settings = infer_settings(found.backbone, num_heads)
    backbone = VisionTransformer(settings)
    try:
        backbone.load_state_dict({name: value.float() for name, value in found.backbone.items()})
    except RuntimeError as error:
        text = " ".join(str(error).split())[:300]
        raise BrokenArtifact(f"{file} is not a whole backbone: {text}") from None
    origin = {"file": file.name, "sha256": sha256_file(file), "layout": found.layout}
    description = ModelDescription(_name(backbone), "import", config_sha256=config_sha256(origin), origin=origin)
    return backbone, build_heads({name: value.float() for name, value in found.heads.items()}), description


def _from_folder(spec: Path | str, num_heads: int | None) -> Parts:
    folder = find_model(spec)
    if (timm := timm_folder(folder)) is not None:
        backbone, heads, said = _from_file(folder / BACKBONE_FILE, num_heads or timm.num_heads)
        return backbone, heads, replace(said, mean=timm.mean or said.mean, std=timm.std or said.std)
    if num_heads is not None:
        raise ConfigError(f"--num-heads is for checkpoint files; {spec} has a config.json that says it")
    model = load_model(spec)
    if isinstance(model.backbone, ForeignBackbone):
        raise ConfigError(
            f"{spec} is a {model.description.name} model, which is no DINOv2 architecture: it can be evaluated and be "
            "a teacher as it is, but not be imported"
        )
    said = replace(model.description, name=_name(model.backbone), method="import", origin={"model": str(spec)})
    return model.backbone, model.heads, said


def _name(backbone: VisionTransformer) -> str:
    """The name in the table of sizes, or the shape."""
    s = backbone.settings
    for name, size in MODEL_SIZES.items():
        if (size.embed_dim, size.depth, size.num_heads) == (s.embed_dim, s.depth, s.num_heads):
            return f"{name}{s.patch_size}"
    return f"vit-{s.embed_dim}x{s.depth}-{s.patch_size}"
