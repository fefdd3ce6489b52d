"""What we export, transformers' AutoModel opens, and its tokens are ours."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers
from torch import nn

from trainer.export.model_folder import ModelDescription, export_model, load_model
from trainer.models.heads import HeadSettings, PrototypeHead
from trainer.models.vision_transformer import VisionTransformer, VitSettings

VARIANTS = {
    "mlp": {},
    "swiglu": {"ffn": "swiglu"},
    "registers": {"registers": 4, "resampling": "official_registers"},
    "swiglu_registers": {"ffn": "swiglu", "registers": 2},
    "five_channels": {"in_channels": 5},
    "no_layer_scale": {"layer_scale": None},
}


def exported(tmp_path: Path, fields: dict[str, object]) -> tuple[VisionTransformer, Path]:
    torch.manual_seed(0)
    settings = {"embed_dim": 48, "depth": 3, "num_heads": 4, "patch_size": 14, "image_size": 56} | fields
    backbone = VisionTransformer(VitSettings(**settings)).eval()  # type: ignore[arg-type]
    for parameter in backbone.parameters():
        nn.init.normal_(parameter, mean=0.1, std=0.15)
    head = PrototypeHead(48, HeadSettings(prototypes=16, hidden_dim=32, bottleneck_dim=8))
    modules = nn.ModuleDict({"backbone": backbone, "dino_head": head})
    description = ModelDescription("vitx14", "dinov2", mean=(0.4,), std=(0.2,))
    return backbone, export_model(modules, description, tmp_path / "export")


def opened(folder: Path) -> nn.Module:
    model, info = transformers.AutoModel.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert not info["mismatched_keys"]
    return model.eval()  # type: ignore[no-any-return]


@torch.no_grad()
def worst(ours: VisionTransformer, theirs: nn.Module, images: torch.Tensor, mask: torch.Tensor | None = None) -> float:
    features = ours(images, mask)
    mine = torch.cat([features.cls[:, None], features.registers, features.patches], dim=1)
    options = {} if mask is None else {"bool_masked_pos": mask}
    return float((mine - theirs(pixel_values=images, **options).last_hidden_state).abs().max())


@pytest.mark.parametrize("variant", VARIANTS)
def test_tokens_agree_at_the_native_grid(tmp_path: Path, variant: str) -> None:
    backbone, folder = exported(tmp_path, VARIANTS[variant])
    theirs = opened(folder)
    images = torch.randn(2, backbone.in_channels, 56, 56)
    assert worst(backbone, theirs, images) < 1e-5
    mask = torch.rand(2, 16) < 0.4
    assert worst(backbone, theirs, images, mask) < 1e-5


@pytest.mark.parametrize(("variant", "resampling"), [("mlp", "huggingface"), ("registers", "official_registers")])
@pytest.mark.parametrize("size", [(42, 42), (28, 70)])
def test_tokens_agree_on_other_grids_when_the_resampling_is_stated(
    tmp_path: Path, variant: str, resampling: str, size: tuple[int, int]
) -> None:
    _, folder = exported(tmp_path, VARIANTS[variant])
    backbone = load_model(folder, resampling=resampling).backbone
    assert worst(backbone, opened(folder), torch.randn(2, 3, *size)) < 1e-5  # type: ignore[arg-type]


def test_a_folder_that_transformers_saved_opens_with_us(tmp_path: Path) -> None:
    """Both ways round: random weights of transformers, in its own file names, give its tokens here."""
    torch.manual_seed(1)
    config = transformers.Dinov2WithRegistersConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, image_size=56, patch_size=14, num_register_tokens=3
    )
    theirs = transformers.AutoModel.from_config(config).eval()
    theirs.save_pretrained(tmp_path / "hf")
    loaded = load_model(tmp_path / "hf")
    assert worst(loaded.backbone, theirs, torch.randn(2, 3, 56, 56)) < 1e-5  # type: ignore[arg-type]
    assert worst(loaded.backbone, theirs, torch.randn(2, 3, 84, 42)) < 1e-5  # type: ignore[arg-type]


def test_the_image_processor_opens_and_normalises_as_said(tmp_path: Path) -> None:
    _, folder = exported(tmp_path, {})
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    assert list(processor.image_mean) == [0.4] * 3
    assert processor.crop_size["height"] == 56


@pytest.mark.parametrize("kind", ["ViT", "DINOv3ViT"])
def test_other_families_open_as_backbones(tmp_path: Path, kind: str) -> None:
    config = getattr(transformers, f"{kind}Config")(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, image_size=32, patch_size=16
    )
    theirs = getattr(transformers, f"{kind}Model")(config).eval()
    theirs.save_pretrained(tmp_path)
    backbone = load_model(tmp_path).backbone
    images = torch.randn(2, 3, 48, 32)
    options = {"interpolate_pos_encoding": True} if kind == "ViT" else {}
    with torch.no_grad():
        features = backbone(images)
        wanted = theirs(pixel_values=images, **options).last_hidden_state
        last = backbone.intermediate(images, [-2, -1])[-1]
    assert features.patches.shape == (2, 6, 32)
    assert torch.allclose(features.cls, wanted[:, 0], atol=1e-6)
    assert torch.allclose(features.patches, wanted[:, -6:], atol=1e-6)
    assert torch.allclose(last.patches, features.patches, atol=1e-6)
