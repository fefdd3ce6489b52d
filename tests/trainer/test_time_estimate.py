"""`trainer plan --measure` says how long a run takes, and a run says what share of the device it used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trainer import api


def test_the_measured_time_is_in_the_plan(labelled_images: Path, tiny_settings: list[str], tmp_path: Path) -> None:
    words = [*tiny_settings, "run.micro_batch_size=2", "high_resolution.steps=3"]
    words += ["high_resolution.global_px=32", "high_resolution.local_px=16"]
    asked = {"data": str(labelled_images), "out": tmp_path / "run", "steps": 1000, "overrides": words}
    said: list[str] = []
    values = api.plan("cpu", **asked, measure=True, say=said.append).values()
    found, larger = values["measured_time"], values["high_resolution"]["measured_time"]
    assert found["images_at_once"] == 2
    assert found["images_per_second"] == pytest.approx(4 / found["step_seconds"], rel=0.05)
    assert found["hours"] == pytest.approx(1000 * found["step_seconds"] / 3600, abs=1e-3)
    assert 0 < found["update_seconds"] < found["step_seconds"]
    assert larger["hours"] == pytest.approx(3 * larger["step_seconds"] / 3600, abs=1e-3)
    assert [line.endswith("from 2 images at once") for line in said] == [True, True]
    assert not (tmp_path / "run").exists()


def test_a_run_writes_its_share_of_the_peak(labelled_images: Path, tiny_settings: list[str], tmp_path: Path) -> None:
    words = [*tiny_settings, "devices.peak_tflops=0.2", "run.log_every_steps=1"]
    api.pretrain("cpu", data=str(labelled_images), out=tmp_path / "run", steps=2, overrides=words)
    plan = api.plan("cpu", data=str(labelled_images), out=tmp_path / "run", steps=2, overrides=words).plan
    last = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    per_image = plan.teraflops_per_step / plan.images_per_step
    assert last["mfu"] == pytest.approx(last["images_per_second"] * per_image / 0.2, rel=1e-3)
    assert 0 < last["mfu"] < 1
