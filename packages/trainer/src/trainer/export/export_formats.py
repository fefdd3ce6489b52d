"""`trainer export`: a model in the layouts of other projects; one function and one table line each."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from contracts.errors import ConfigError, MissingInput, nearest_name
from contracts.publish import draft, publish_json
from trainer.export.foreign_backbone import ForeignBackbone
from trainer.export.heads_file import head_tensors
from trainer.export.hugging_face_config import inexpressible
from trainer.export.model_folder import LoadedModel, export_model, load_model
from trainer.export.output_folder import OFFICIAL_FILE, ONNX_FILE, TEACHER_FILE, check_output_folder
from trainer.export.timm_layout import to_timm
from trainer.models.vision_transformer import VisionTransformer

Writer = Callable[[LoadedModel, VisionTransformer, Path], dict[str, Any]]


def export_as(spec: Path | str, format_name: str, out: Path | str) -> dict[str, Any]:
    """Write a run's or a folder's model in a named format into a new folder; returns what was written.

    Errors: ConfigError (unknown format, or one that cannot express the model), MissingInput (a library is missing),
    UserError (the folder holds something else).
    """
    if format_name not in FORMATS:
        raise ConfigError(f"unknown format {format_name!r}; {nearest_name(format_name, FORMATS)}")
    check_output_folder(Path(out))
    model = load_model(spec)
    if isinstance(model.backbone, ForeignBackbone):
        raise ConfigError(
            f"{spec} is a {model.description.name} model of transformers: only DINOv2 models are exported"
        )
    written = FORMATS[format_name](model, model.backbone, Path(out))
    return {"model": str(spec), "format": format_name, "out": str(out), **written}


def to_hugging_face(model: LoadedModel, backbone: VisionTransformer, out: Path) -> dict[str, Any]:
    """The model folder itself. Errors: ConfigError when transformers' Dinov2 cannot express the backbone."""
    _must_be_plain(backbone, "hf")
    modules = nn.ModuleDict({"backbone": backbone, **dict(model.heads.items())})
    export_model(modules, model.description, out)
    return {"files": sorted(file.name for file in out.iterdir())}


def to_official(model: LoadedModel, backbone: VisionTransformer, out: Path) -> dict[str, Any]:
    """pretrain.pth as torch.hub has it; with heads also teacher_checkpoint.pth as official training writes it."""
    state = _state(backbone)
    with draft(out) as rough:
        rough.mkdir()
        torch.save(state, rough / OFFICIAL_FILE)
        if heads := head_tensors(model.heads):
            named = {f"backbone.{name}": value for name, value in state.items()}
            torch.save({"teacher": {**named, **heads}}, rough / TEACHER_FILE)
    return {"files": sorted(file.name for file in out.iterdir())}


# timm takes the kind of feed-forward layer from the architecture's name alone; all other sizes are model_args.
TIMM_ARCHITECTURES = {"mlp": "vit_base_patch14_dinov2", "swiglu": "vit_giant_patch14_dinov2"}


def to_timm_folder(model: LoadedModel, backbone: VisionTransformer, out: Path) -> dict[str, Any]:
    """model.safetensors and config.json as timm keeps them on the hub. Errors: ConfigError where timm has no place.

    The mask token is lost: timm has none.
    """
    _must_be_plain(backbone, "timm")
    s = backbone.settings
    tensors = {name: value.contiguous() for name, value in to_timm(_state(backbone)).items()}
    arguments = {
        "img_size": s.image_size,
        "patch_size": s.patch_size,
        "embed_dim": s.embed_dim,
        "depth": s.depth,
        "num_heads": s.num_heads,
        "in_chans": s.in_channels,
        "mlp_ratio": _timm_ratio(backbone),
        "init_values": 1e-5 if s.layer_scale is not None else None,
        "reg_tokens": s.registers,
        "no_embed_class": bool(s.registers),
        "num_classes": 0,
        "global_pool": "token",
    }
    said = model.description
    config = {
        "architecture": TIMM_ARCHITECTURES[s.ffn],
        "num_classes": 0,
        "num_features": s.embed_dim,
        "model_args": arguments,
        "pretrained_cfg": {
            "input_size": [s.in_channels, s.image_size, s.image_size],
            "mean": list(said.mean),
            "std": list(said.std),
            "interpolation": "bicubic",
            "crop_pct": 1.0,
        },
    }
    with draft(out) as rough:
        rough.mkdir()
        save_file(tensors, rough / "model.safetensors", metadata={"format": "pt"})
        publish_json(rough / "config.json", config)
    return {"files": sorted(file.name for file in out.iterdir())}


class ClassAndPatches(nn.Module):
    """What an ONNX model gives: class token and patch tokens after the final norm."""

    def __init__(self, backbone: VisionTransformer) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Shapes: [B, C, S, S] -> [B, D], [B, N, D]."""
        features = self.backbone(images)
        return features.cls, features.patches


def to_onnx(_: LoadedModel, backbone: VisionTransformer, out: Path) -> dict[str, Any]:
    """model.onnx: native image size, any batch; checked against PyTorch. Errors: MissingInput without onnx packages."""
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  torch.onnx needs it
    except ImportError as error:
        raise MissingInput(
            f'exporting to ONNX needs the package {error.name}: pip install "winnow-trainer[onnx]"'
        ) from None
    images = torch.randn(2, backbone.in_channels, backbone.settings.image_size, backbone.settings.image_size)
    wrapped = ClassAndPatches(backbone).eval()
    with draft(out) as rough, torch.no_grad():
        rough.mkdir()
        file = rough / ONNX_FILE
        torch.onnx.export(
            wrapped,
            (images,),
            str(file),
            input_names=["images"],
            output_names=["cls", "patches"],
            dynamic_shapes={"images": {0: torch.export.Dim("batch", min=1)}},
            dynamo=True,
            external_data=False,
            verbose=False,
        )
        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        found = session.run(None, {"images": images[:1].numpy()})
        gaps = [float((torch.from_numpy(a) - b).abs().max()) for a, b in zip(found, wrapped(images[:1]), strict=True)]
        if max(gaps) > 1e-3:
            raise RuntimeError(f"the ONNX model's outputs differ from PyTorch's by {max(gaps):.2e}")
    return {"files": [ONNX_FILE], "largest_difference": max(gaps)}


FORMATS: dict[str, Writer] = {
    "hf": to_hugging_face,
    "official": to_official,
    "timm": to_timm_folder,
    "onnx": to_onnx,
}


def _state(backbone: VisionTransformer) -> dict[str, Tensor]:
    return {name: value.detach().float().cpu() for name, value in backbone.state_dict().items()}


def _must_be_plain(backbone: VisionTransformer, format_name: str) -> None:
    if reasons := inexpressible(backbone.settings):
        raise ConfigError(f"the format {format_name} cannot express this model, since {' and '.join(reasons)}")


def _timm_ratio(backbone: VisionTransformer) -> float:
    """timm's mlp_ratio counts the fused SwiGLU projection, 2 * hidden / width, whose product with the width it cuts to
    a whole number."""
    s = backbone.settings
    if s.ffn != "swiglu":
        return s.mlp_ratio
    fused = 2 * _state(backbone)["blocks.0.mlp.w3.weight"].shape[1]
    ratio = fused / s.embed_dim
    return ratio if int(ratio * s.embed_dim) == fused else math.nextafter(ratio, math.inf)
