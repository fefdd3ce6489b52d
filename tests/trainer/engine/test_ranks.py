"""Several processes train as one: same losses at the same global batch, and checkpoints that any number reads."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from contracts.config import read_yaml
from contracts.errors import ConfigError
from trainer import api
from trainer.engine.metrics_log import read_metrics

# KoLeo compares the images of one rank, and stochastic depth draws on every rank: both off for an exact comparison.
EXACT = ["losses.koleo_weight=0", "model.drop_path_rate=0", "schedules.for_steps=null", "schedules.warmup_steps=1"]
STEPS = 4


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, labelled_images: Path, tiny_settings: list[str]) -> dict[int, Path]:
    """The same run on one and on two ranks, with a checkpoint of every step."""
    root = tmp_path_factory.mktemp("ranks")
    words = [*tiny_settings, *EXACT, "run.checkpoint_every_steps=1", "run.keep_checkpoints=10"]
    for devices in (1, 2):
        report = api.pretrain(
            "cpu", data=str(labelled_images), out=root / str(devices), steps=STEPS, overrides=words, devices=devices
        )
        assert (report["step"], report["stopped_by"]) == (STEPS, None)
    return {devices: root / str(devices) for devices in (1, 2)}


def assert_same_numbers(one: Path, other: Path) -> None:
    first, second = read_metrics(one / "metrics.jsonl"), read_metrics(other / "metrics.jsonl")
    assert [record["step"] for record in first] == [record["step"] for record in second] == list(range(1, STEPS + 1))
    for mine, theirs in zip(first, second, strict=True):
        for name in mine:
            if name == "loss" or name.startswith(("terms/", "gradient_norm/")):
                assert mine[name] == pytest.approx(theirs[name], rel=1e-4, abs=1e-6), (mine["step"], name)


def test_two_ranks_give_the_numbers_of_one_at_the_same_global_batch(runs: dict[int, Path]) -> None:
    plan = read_yaml(runs[2] / "plan.yaml")
    assert (plan["ranks"], plan["images_per_rank"], plan["images_per_step"]) == (2, 2, 4)
    assert_same_numbers(runs[1], runs[2])


def test_what_two_ranks_saved_goes_on_on_one(
    runs: dict[int, Path], tmp_path: Path, labelled_images: Path, tiny_settings: list[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs[2], run)
    (run / "run.json").unlink()
    for step in range(3, STEPS + 1):
        shutil.rmtree(run / "checkpoints" / f"step_{step:08d}")
    words = [*tiny_settings, *EXACT, "run.checkpoint_every_steps=1", "run.keep_checkpoints=10"]
    api.pretrain("cpu", data=str(labelled_images), out=run, steps=STEPS, overrides=words)
    assert_same_numbers(runs[1], run)


def test_a_batch_that_cannot_be_cut_is_refused(labelled_images: Path, tiny_settings: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"run\.batch_size 4 cannot be cut into 3 ranks"):
        api.plan("cpu", data=str(labelled_images), overrides=tiny_settings, devices=3)
