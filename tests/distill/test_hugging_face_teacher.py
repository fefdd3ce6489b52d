"""A Hugging Face Dinov2 folder with random weights teaches in every mode; students have the published shapes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers

from distill import api
from distill.side_by_side import model_folders
from trainer.engine.metrics_log import read_metrics
from trainer.export.model_folder import load_model
from trainer.models.sizes import parse_arch

WORDS = ["run.batch_size=2", "run.checkpoint_every_steps=9", "run.log_every_steps=1"]
WORDS += ["data.workers=0", "run.device=cpu", "schedules.warmup_steps=0", "pictures.every_steps=0"]
SHAPE = "{prototypes: 10, hidden_dim: 8, bottleneck_dim: 4}"
EXACT = ["objective.kind=prototypes", "teacher.head_steps=1"]
EXACT += [f"objective.heads.dino={SHAPE}", f"objective.heads.ibot={SHAPE}"]


@pytest.fixture
def dinov2(tmp_path: Path) -> str:
    """4 x 4 patches of 14 px, 32 wide, no heads."""
    config = transformers.Dinov2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=56, patch_size=14
    )
    transformers.AutoModel.from_config(config).save_pretrained(tmp_path / "hf")
    return str(tmp_path / "hf")


@pytest.mark.parametrize(
    ("students", "more", "terms"),
    [
        (["vitp14"], [], {"cls", "patch"}),
        (["vitp8"], ["crops.local_crops=2", "teacher.precision=bf16"], {"cls", "patch", "local_cls"}),
        (
            ["vitp4"],
            ["objective.patch_loss=mse", "objective.relations={patch_gram: 1, batch_similarity: 0.5}"],
            {"cls", "patch", "patch_gram", "batch_similarity"},
        ),
        (["vitp14"], EXACT, {"dino_local", "dino_global", "koleo", "ibot"}),
        (["vitp8"], [*EXACT, "objective.ibot_tokens=subset", "crops.local_crops=0"], {"dino_global", "ibot"}),
        (["vitp14"], [*EXACT, "objective.heads.shared=true", "teacher.cache.gib=1"], {"dino_local", "ibot"}),
        (["vitp8"], ["teacher.grid=6"], {"cls", "patch"}),
        (["vitp8"], [*EXACT, "teacher.grid=3", "teacher.cache.gib=1"], {"dino_local", "ibot"}),
        (["vitp16", "vitp4"], [], {f"{name}/{term}" for name in ("vitp16", "vitp4") for term in ("cls", "patch")}),
    ],
    ids=[
        "features",
        "another patch size",
        "relations",
        "new heads",
        "subset",
        "one head, cache",
        "finer grid",
        "coarser grid, cache",
        "two students",
    ],
)
def test_every_mode_learns_from_it(
    dinov2: str, pictures: Path, tmp_path: Path, students: list[str], more: list[str], terms: set[str]
) -> None:
    run = tmp_path / "run"
    report = api.run(
        students, teacher=dinov2, data=str(pictures), config="cpu", steps=2, overrides=[*WORDS, *more], out=run
    )
    last = read_metrics(run / "metrics.jsonl")[-1]
    assert last["step"] == report["step"] == 2
    assert all(last[f"terms/{term}"] != 0 for term in terms)
    for folder, name in zip(model_folders(str(run)), sorted(students), strict=True):
        model = load_model(folder)
        assert model.description.name == name
        assert model.image_px == 4 * parse_arch(name).patch_size
        assert set(model.heads) == ({"dino_head"} if "objective.heads.shared=true" in more else _heads(more))


def _heads(more: list[str]) -> set[str]:
    return {"dino_head", "ibot_head"} if "objective.kind=prototypes" in more else set()


@pytest.mark.parametrize(
    ("arch", "width", "depth", "heads"),
    [
        ("vitti16", 192, 12, 3),
        ("vits14", 384, 12, 6),
        ("vits16", 384, 12, 6),
        ("vitb14", 768, 12, 12),
        ("vitl14", 1024, 24, 16),
    ],
)
def test_students_have_the_published_shapes(
    make_teacher: Callable[..., Path], pictures: Path, arch: str, width: int, depth: int, heads: int
) -> None:
    """Counted beside transformers' Dinov2 of the same width, depth and patch size, on the teacher's 4 x 4 patches."""
    side = 4 * parse_arch(arch).patch_size
    planned = api.plan([arch], teacher=str(make_teacher()), data=str(pictures), config="cpu", overrides=WORDS)
    with torch.device("meta"):
        other = transformers.Dinov2Model(
            transformers.Dinov2Config(
                hidden_size=width,
                num_hidden_layers=depth,
                num_attention_heads=heads,
                image_size=side,
                patch_size=parse_arch(arch).patch_size,
            )
        )
    wanted = sum(parameter.numel() for parameter in other.parameters())
    assert planned.plan.students == {arch: {"parameters": wanted, "global_px": side}}
