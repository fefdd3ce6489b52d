"""Every export reads back as the same model; what a format cannot express is refused in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from contracts.errors import ConfigError, UserError
from contracts.publish import read_json
from trainer.export.export_formats import FORMATS, export_as
from trainer.export.import_model import import_model
from trainer.export.model_folder import ModelDescription, export_model, load_model
from trainer.models.heads import HeadSettings, PrototypeHead
from trainer.models.vision_transformer import VisionTransformer, VitSettings


def folder(path: Path, **fields: object) -> Path:
    torch.manual_seed(0)
    settings = {"embed_dim": 128, "depth": 2, "num_heads": 2, "patch_size": 4, "image_size": 16} | fields
    backbone = VisionTransformer(VitSettings(**settings))  # type: ignore[arg-type]
    for parameter in backbone.parameters():
        nn.init.normal_(parameter, std=0.1)
    head = PrototypeHead(128, HeadSettings(prototypes=8, hidden_dim=12, bottleneck_dim=6))
    return export_model(nn.ModuleDict({"backbone": backbone, "dino_head": head}), ModelDescription("v", "dinov2"), path)


@pytest.mark.parametrize(("ffn", "registers"), [("mlp", 0), ("swiglu", 3)])
@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("hf", ""),
        ("official", "pretrain.pth"),
        ("official", "teacher_checkpoint.pth"),
        ("timm", "model.safetensors"),
        ("timm", ""),
    ],
)
def test_an_export_reads_back(tmp_path: Path, name: str, file: str, ffn: str, registers: int) -> None:
    made = folder(tmp_path / "made", ffn=ffn, registers=registers)
    report = export_as(made, name, tmp_path / "out")
    assert not file or file in report["files"]
    back = import_model(tmp_path / "out" / file if file else tmp_path / "out", tmp_path / "back")
    images = torch.randn(2, 3, 16, 16)
    model = load_model(made)
    assert torch.allclose(back.backbone(images).patches, model.backbone(images).patches, atol=1e-5)
    assert ("dino_head" in back.heads) == (name != "timm" and file in ("", "teacher_checkpoint.pth"))


def test_timm_arguments_tell_the_shape(tmp_path: Path) -> None:
    export_as(folder(tmp_path / "made", ffn="swiglu", registers=3), "timm", tmp_path / "out")
    config = read_json(tmp_path / "out" / "config.json")
    assert config["model_args"]["reg_tokens"] == 3
    assert config["model_args"]["mlp_ratio"] == pytest.approx(2 * 344 / 128)
    assert config["architecture"] == "vit_giant_patch14_dinov2"  # which brings SwiGLU


@pytest.mark.parametrize("width", [64, 448, 1088])
def test_timms_ratio_gives_the_hidden_width_when_it_is_cut_to_a_whole_number(tmp_path: Path, width: int) -> None:
    made = folder(tmp_path / "made", ffn="swiglu", embed_dim=width, depth=1, num_heads=1)
    export_as(made, "timm", tmp_path / "out")
    arguments = read_json(tmp_path / "out" / "config.json")["model_args"]
    hidden = load_model(made).backbone.state_dict()["blocks.0.mlp.w3.weight"].shape[1]
    assert int(arguments["embed_dim"] * arguments["mlp_ratio"]) == 2 * hidden


@pytest.mark.parametrize("name", ["hf", "timm"])
def test_rotary_positions_are_refused(tmp_path: Path, name: str) -> None:
    made = folder(tmp_path / "made", position="rope")
    with pytest.raises(ConfigError, match="cannot express this model, since it has rotary positions"):
        export_as(made, name, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_unknown_format_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'onnx'"):
        export_as(tmp_path, "onx", tmp_path / "out")
    assert set(FORMATS) == {"hf", "official", "timm", "onnx"}


@pytest.mark.parametrize("registers", [0, 2])
def test_onnx_runs_with_any_batch(tmp_path: Path, registers: int) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    made = folder(tmp_path / "made", registers=registers)
    report = export_as(made, "onnx", tmp_path / "out")
    assert report["largest_difference"] < 1e-4
    session = onnxruntime.InferenceSession(str(tmp_path / "out" / "model.onnx"))
    images = torch.randn(5, 3, 16, 16)
    cls, patches = session.run(None, {"images": images.numpy()})
    wanted = load_model(made).backbone(images)
    assert torch.allclose(torch.from_numpy(cls), wanted.cls, atol=1e-4)
    assert torch.allclose(torch.from_numpy(patches), wanted.patches, atol=1e-4)


@pytest.mark.parametrize("name", FORMATS)
def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path, name: str) -> None:
    made = folder(tmp_path / "made")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match=r"out holds thesis\.txt, which would be lost"):
        export_as(made, name, tmp_path / "out")
    assert (tmp_path / "out" / "thesis.txt").read_text() == "years of work"
