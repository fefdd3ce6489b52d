"""`distill export`: every format of every student reads back as the model that was distilled."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from distill import api
from distill.cli import app
from distill.side_by_side import model_folders
from trainer.cli import run
from trainer.export.import_model import import_model
from trainer.export.model_folder import load_model

STUDENTS = ["vitn8", "vitn4"]
WITH_ONNX = find_spec("onnxruntime") is not None and find_spec("onnxscript") is not None
WORDS = ["run.batch_size=4", "data.workers=0", "run.device=cpu", "students.registers=2", "pictures.every_steps=0"]


@pytest.fixture
def distilled(make_teacher: Callable[..., Path], pictures: Path, tmp_path: Path) -> Path:
    """A run of one step with two students."""
    out = tmp_path / "run"
    api.run(STUDENTS, teacher=str(make_teacher()), data=str(pictures), config="cpu", steps=1, out=out, overrides=WORDS)
    return out


def wanted(folder: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images of a student's own size, and its class and patch tokens of them."""
    model = load_model(folder)
    images = torch.randn(3, 3, model.image_px, model.image_px, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        features = model.backbone(images)
    return images, features.cls, features.patches


def test_every_student_in_every_layout_reads_back(
    distilled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import transformers

    files = {"hf": "", "official": "teacher_checkpoint.pth", "timm": "model.safetensors"}
    for name, file in files.items():
        assert run(app, ["export", str(distilled), "--format", name, "--out", str(tmp_path / name), "--json"]) == 0
        reports = json.loads(capsys.readouterr().out)
        assert [Path(report["out"]).name for report in reports] == sorted(STUDENTS)
        for folder in model_folders(str(distilled)):
            images, cls, patches = wanted(folder)
            student = Path(folder).name
            back = import_model(tmp_path / name / student / file, tmp_path / f"back-{name}-{student}")
            assert torch.allclose(back.backbone(images).patches, patches, atol=1e-5)
            assert ("dino_head" in back.heads) == (name != "timm")
            if name == "hf":
                theirs = transformers.AutoModel.from_pretrained(tmp_path / name / student).eval()
                assert torch.allclose(theirs(images).last_hidden_state[:, 0], cls, atol=1e-5)


@pytest.mark.skipif(not WITH_ONNX, reason="onnxruntime and onnxscript are not installed")
def test_a_student_in_onnx_gives_its_tokens(
    distilled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import onnxruntime

    out = tmp_path / "onnx"
    assert run(app, ["export", str(distilled), "--format", "onnx", "--out", str(out), "--json"]) == 0
    reports = {Path(report["out"]).name: report for report in json.loads(capsys.readouterr().out)}
    for folder in model_folders(str(distilled)):
        images, cls, patches = wanted(folder)
        student = Path(folder).name
        assert reports[student]["largest_difference"] < 1e-4
        session = onnxruntime.InferenceSession(str(out / student / "model.onnx"))
        found = session.run(None, {"images": images.numpy()})
        assert torch.allclose(torch.from_numpy(found[0]), cls, atol=1e-4)
        assert torch.allclose(torch.from_numpy(found[1]), patches, atol=1e-4)
