"""Sizes are measured on request, written in the plan, kept by the run that is there, and what is named is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from trainer import api
from trainer.tune import Trial, _best, _sizes, tune


def test_measured_sizes_are_in_the_plan_and_a_resumed_run_keeps_them(
    labelled_images: Path, tiny_settings: list[str], tmp_path: Path
) -> None:
    out, said = tmp_path / "run", []
    asked = {"data": str(labelled_images), "out": out, "overrides": [*tiny_settings, "run.checkpoint_every_steps=1"]}
    api.pretrain("cpu", steps=2, tune=True, say=said.append, **asked)
    plan = yaml.safe_load((out / "plan.yaml").read_text())
    found = plan["tuning"]
    assert [trial["images_at_once"] for trial in found["trials"]][:2] == [2, 4]
    assert all(trial["images_per_second"] > 0 for trial in found["trials"])
    assert plan["micro_batches"] == 4 // found["micro_batch_size"]
    assert plan["workers"] == found["workers"] == 0  # named by the settings, so not tuned
    assert said[:2] == [
        f"{t['images_at_once']} images at once, no loading: {t['images_per_second']:.1f} images/s"
        for t in found["trials"][:2]
    ]
    assert any(line.startswith("taken: ") for line in said)
    again = api.pretrain("cpu", steps=2, tune=True, **asked)
    assert again["already_finished"]


def test_slow_and_large_sizes_are_not_tried_on_a_cpu(
    labelled_images: Path, tiny_settings: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CPU kills a process whose memory is too small, instead of saying so; and its user waits."""
    words = [*tiny_settings, "run.batch_size=16"]
    planned = api.plan("cpu", data=str(labelled_images), out=tmp_path / "run", overrides=words)
    assert _sizes(planned) == [2, 4, 8, 16]
    smaller = replace(planned, plan=replace(planned.plan, micro_batches=4))
    assert _sizes(smaller) == [2, 4]
    on_gpu = replace(smaller, plan=replace(smaller.plan, device="cuda:0"))
    assert _sizes(on_gpu) == [2, 4, 8, 16]
    monkeypatch.setattr("trainer.tune.LONGEST_TRIAL_SECONDS", 0.0)
    said: list[str] = []
    assert tune(planned, said.append).micro_batch_size == 2
    assert "4 images at once were not tried" in said[1]


def test_what_is_named_is_not_tuned(labelled_images: Path, tiny_settings: list[str], tmp_path: Path) -> None:
    words = [*tiny_settings, "run.micro_batch_size=4", "run.steps=2"]
    planned = api.plan("cpu", data=str(labelled_images), out=tmp_path / "run", overrides=words, tune=True)
    assert (planned.plan.micro_batches, planned.config.run.micro_batch_size) == (1, 4)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("speeds", "chosen"), [([10.0, 9.9, 5.0], 8), ([10.0, 12.0, None], 4), ([1.0, 2.0, 4.0], 2)])
def test_the_cheapest_of_the_fast_ones_is_taken(speeds: list[float | None], chosen: int) -> None:
    trials = [Trial(size, 0, speed) for size, speed in zip((8, 4, 2), speeds, strict=True)]
    assert _best(trials, lambda trial: -trial.images_at_once).images_at_once == chosen
