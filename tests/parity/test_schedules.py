"""Schedules are the official arrays, to the last bit that matters."""

from __future__ import annotations

import numpy as np
import pytest
from tests.parity.named_tensors import arrays, numbers

from trainer.optim.schedules import Ramp, ScheduleSettings, build_schedules

ARGUMENTS, ARRAYS = numbers("schedules"), arrays("schedules")


@pytest.mark.parametrize("name", ["cosine_plain", "cosine_warmup", "cosine_freeze_warmup", "cosine_warmup_all"])
def test_ramp(name: str) -> None:
    a = ARGUMENTS[name]
    ramp = Ramp(
        peak=a["base_value"],
        end=a["final_value"],
        start=a.get("start_warmup_value", 0.0),
        warmup_steps=a.get("warmup_iters", 0),
        frozen_steps=a.get("freeze_iters", 0),
    )
    values = ramp.values(a["total_iters"])
    np.testing.assert_allclose(values, ARRAYS[name][: a["total_iters"]].numpy(), rtol=1e-12, atol=1e-15)
    assert (ARRAYS[name][a["total_iters"] :] == ramp.end).all()


def test_all_knobs_of_a_run() -> None:
    schedules = build_schedules(
        ScheduleSettings(
            steps=1000,
            lr=0.001,
            warmup_steps=100,
            teacher_temp_warmup_steps=300,
            freeze_last_layer_steps=10,
        )
    )
    for step in range(1003):
        knobs = schedules.at(step)
        for ours, official in (
            (knobs.lr, "lr"),
            (knobs.weight_decay, "wd"),
            (knobs.teacher_momentum, "momentum"),
            (knobs.teacher_temp, "teacher_temp"),
            (knobs.last_layer_lr, "last_layer_lr"),
        ):
            expected = ARRAYS[f"default_{official}"][step].item()
            assert ours == pytest.approx(expected, rel=1e-12, abs=1e-15), (step, official)
