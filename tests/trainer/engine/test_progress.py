"""Time left: counted over steps alone, so that a long probe before the first step does not frighten."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from trainer.engine import progress
from trainer.engine.progress import LineProgress

SPEED = {"images_per_second": 64.0, "data_wait": 0.02}


def test_time_left_leaves_out_what_came_before_the_first_step(monkeypatch: pytest.MonkeyPatch) -> None:
    out, clock = io.StringIO(), [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    lines = LineProgress(Console(file=out, width=200), total_steps=101, every_seconds=20)
    lines.begin(0)
    for step, seconds in ((1, 500.0), (2, 501.0), (21, 525.0)):
        clock[0] = seconds
        lines.update(step, 9.5, SPEED)
    first, second = out.getvalue().splitlines()
    assert first == "step 1/101, loss 9.500, 64 images/s, waiting for data 2 %"
    assert second.endswith(", 1 min 40 s left"), "1.25 s a step for 80 steps"
