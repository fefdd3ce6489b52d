"""The line of a run: rate, data wait, memory, MFU, time left; and how the recorder comes to them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import torch
from rich.console import Console

from trainer.data.batch import CropBatch
from trainer.engine import progress, recorder
from trainer.engine.progress import LineProgress
from trainer.engine.recorder import Recorder, Work
from trainer.engine.run_folder import RunFolder
from trainer.engine.step import StepReport
from trainer.engine.train_state import Progress
from trainer.optim.knobs import StepKnobs

SPEED = {"images_per_second": 64.0, "data_wait": 0.02, "memory_gib": 1.26}


def test_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    out, clock = io.StringIO(), [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    lines = LineProgress(Console(file=out, width=200), total_steps=101, every_seconds=20)
    lines.begin(0)
    more = {"mfu": 0.414, "seconds_left": 100.0}
    for step, seconds, speed in ((1, 500.0, SPEED), (2, 501.0, SPEED), (21, 525.0, SPEED | more)):
        clock[0] = seconds
        lines.update(step, 9.5, speed)
    first, second = out.getvalue().splitlines()
    assert first == "step 1/101, loss 9.500, 64 images/s, waiting for data 2 %, 1.3 GiB"
    assert second.endswith("1.3 GiB, MFU 41 %, 1 min 40 s left")


def test_the_recorder_measures_rate_mfu_and_time_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(recorder.time, "perf_counter", lambda: clock[0])
    empty = torch.zeros(0)
    batch = CropBatch(empty, empty, empty, ("",) * 8, 0)
    report = StepReport(1.0, {}, {}, {}, {})
    run = RunFolder(tmp_path)
    with Recorder(run, total_steps=101, log_every=1, work=Work(flops_per_image=3e9, peak_flops=1e11)) as told:
        told.begin(Progress())
        # The first step comes after a long probe; the others take 1.25 s each, a tenth of it for data.
        for step, seconds in ((1, 500.0), (2, 501.25), (3, 502.5)):
            began = clock[0]

            def take(began: float = began) -> list[CropBatch]:
                clock[0] = began + 0.125
                return [batch]

            told.waited_for(take)
            clock[0] = seconds
            told.record(Progress(step=step), StepKnobs(0.0, 0.0, 0.0, 0.0, 0.0), report, [batch], 0)
    first, _, third = (json.loads(line) for line in run.metrics.read_text().splitlines())
    assert "seconds_left" not in first
    assert third["images_per_second"] == pytest.approx(8 / 1.25)
    assert third["data_wait"] == pytest.approx(0.1)
    assert third["mfu"] == pytest.approx(8 / 1.25 * 3e9 / 1e11)
    assert third["seconds_left"] == pytest.approx(98 * 1.25)
    assert third["memory_gib"] > 0
