"""Teachers of other families, with random weights: every one gets students in both headless modes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transformers

import trainer.api
from distill import api
from trainer.engine.metrics_log import read_metrics
from trainer.export.model_folder import load_model

WORDS = ["run.batch_size=2", "run.checkpoint_every_steps=9", "run.log_every_steps=1", "crops.local_crops=1"]
WORDS += ["data.workers=0", "run.device=cpu", "schedules.warmup_steps=0", "pictures.every_steps=0"]
SHAPE = "{prototypes: 10, hidden_dim: 8, bottleneck_dim: 4}"
MODES = {
    "features": (["objective.kind=features"], {"cls", "patch", "local_cls"}),
    "new heads": (
        [
            "objective.kind=prototypes",
            "teacher.head_steps=1",
            f"objective.heads.dino={SHAPE}",
            f"objective.heads.ibot={SHAPE}",
        ],
        {"dino_local", "dino_global", "koleo", "ibot"},
    ),
}
FAMILIES: dict[str, Callable[..., Any]] = {
    "ViT": transformers.ViTConfig,
    "DINOv2 with registers": transformers.Dinov2WithRegistersConfig,
    "DINOv3": transformers.DINOv3ViTConfig,
    "no class token": transformers.IJepaConfig,
}
TIMM = "timm"


def teacher_of(family: str, make_teacher: Callable[..., Path], place: Path) -> str:
    """A folder of that family: 4 x 4 patches of 8 px, or timm's layout, imported. No heads."""
    if family == TIMM:
        trainer.api.export(str(make_teacher(heads="")), "timm", place / "timm")
        trainer.api.import_model(str(place / "timm" / "model.safetensors"), place / "imported", num_heads=2)
        return str(place / "imported")
    config = FAMILIES[family](
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, image_size=32, patch_size=8
    )
    transformers.AutoModel.from_config(config).save_pretrained(place / "hf")
    return str(place / "hf")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", [*FAMILIES, TIMM])
def test_students_learn_from_it(
    make_teacher: Callable[..., Path], pictures: Path, tmp_path: Path, family: str, mode: str
) -> None:
    """The student's patches are smaller than the teacher's."""
    teacher, (more, terms) = teacher_of(family, make_teacher, tmp_path), MODES[mode]
    asked: dict[str, Any] = {"teacher": teacher, "data": str(pictures), "config": "cpu", "steps": 2}
    api.run(["vitp4"], out=tmp_path / "run", overrides=[*WORDS, *more], **asked)
    last = read_metrics(tmp_path / "run" / "metrics.jsonl")[-1]
    assert last["step"] == 2
    assert all(last[f"terms/{term}"] != 0 for term in terms)
    assert load_model(tmp_path / "run").image_px == 16
