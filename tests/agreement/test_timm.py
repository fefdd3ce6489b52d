"""Models of ours in timm, and timm's in ours: the same tokens. Needs timm (`pip install timm`)."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from trainer.export.export_formats import export_as
from trainer.export.import_model import import_model
from trainer.export.model_folder import ModelDescription, export_model, load_model
from trainer.models.vision_transformer import VisionTransformer, VitSettings

timm = pytest.importorskip("timm")


def noisy(model: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1)
    return model.eval()


@torch.no_grad()
def worst(ours: nn.Module, theirs: nn.Module) -> float:
    images = torch.randn(2, 3, 56, 56)
    tokens, features = theirs.forward_features(images), ours(images)  # type: ignore[operator]
    mine = torch.cat([features.cls[:, None], features.patches], dim=1)
    yours = torch.cat([tokens[:, :1], tokens[:, theirs.num_prefix_tokens :]], dim=1)
    return float((mine - yours).abs().max())


@pytest.mark.parametrize("ffn", ["mlp", "swiglu"])
@pytest.mark.parametrize("registers", [0, 4])
def test_an_export_opens_in_timm(tmp_path: Path, ffn: str, registers: int) -> None:
    backbone = noisy(VisionTransformer(VitSettings(128, 3, 2, 14, 56, ffn=ffn, registers=registers)))
    export_model(nn.ModuleDict({"backbone": backbone}), ModelDescription("v", "dinov2"), tmp_path / "made")
    export_as(tmp_path / "made", "timm", tmp_path / "out")
    theirs = timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True).eval()
    assert worst(load_model(tmp_path / "made").backbone, theirs) < 1e-5


@pytest.mark.parametrize("name", ["vit_small_patch14_dinov2", "vit_small_patch14_reg4_dinov2"])
def test_a_folder_that_timm_saved_is_imported(tmp_path: Path, name: str) -> None:
    shape = {"embed_dim": 128, "depth": 2, "num_heads": 2, "img_size": 56}
    theirs = noisy(timm.create_model(name, pretrained=False, num_classes=0, **shape))
    timm.models.save_for_hf(theirs, tmp_path / "saved", safe_serialization=True)
    assert worst(import_model(tmp_path / "saved", tmp_path / "made").backbone, theirs) < 1e-5
