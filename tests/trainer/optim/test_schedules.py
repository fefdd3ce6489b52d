"""Schedules: edges, errors and compression; their values are held in tests/parity."""

from __future__ import annotations

import numpy as np
import pytest

from contracts.errors import ConfigError
from trainer.optim.schedules import Ramp, ScheduleSettings, build_schedules, compressed


def test_the_warmup_includes_both_ends_and_the_peak_is_held_one_step_more() -> None:
    values = Ramp(peak=1.0, end=0.0, warmup_steps=5).values(20)
    assert values[:6].tolist() == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    assert 0 < values[-1] < 0.02


def test_a_warmup_longer_than_the_run_is_refused() -> None:
    with pytest.raises(ConfigError, match="10 steps cannot hold 0 frozen and 11 warm-up"):
        build_schedules(ScheduleSettings(steps=10, lr=1.0, warmup_steps=11))


def test_past_the_end_the_final_values_hold() -> None:
    schedules = build_schedules(ScheduleSettings(steps=10, lr=1.0, min_lr=0.1, weight_decay_end=0.3))
    knobs = schedules.at(10)
    assert (knobs.lr, knobs.last_layer_lr, knobs.weight_decay, knobs.teacher_momentum) == (0.1, 0.1, 0.3, 1.0)
    assert knobs.step == 10


def test_the_last_layer_is_frozen_first() -> None:
    schedules = build_schedules(ScheduleSettings(steps=10, lr=1.0, freeze_last_layer_steps=3))
    assert [schedules.at(step).last_layer_lr > 0 for step in range(5)] == [False, False, False, True, True]
    assert schedules.at(0).lr == 1.0


def test_a_temperature_warmup_longer_than_the_run_is_cut() -> None:
    schedules = build_schedules(ScheduleSettings(steps=4, lr=1.0, teacher_temp_warmup_steps=7))
    temps = [schedules.at(step).teacher_temp for step in range(4)]
    np.testing.assert_allclose(temps, [0.04, 0.045, 0.05, 0.055])


def test_compression_keeps_values_and_shrinks_lengths() -> None:
    whole = ScheduleSettings(steps=1000, lr=2e-4, warmup_steps=100, teacher_temp_warmup_steps=300)
    short = compressed(whole, 50)
    assert (short.steps, short.warmup_steps, short.teacher_temp_warmup_steps) == (50, 5, 15)
    long_run, short_run = build_schedules(whole), build_schedules(short)
    assert short_run.at(25).lr == pytest.approx(long_run.at(500).lr, rel=0.02)
    assert short_run.at(25).teacher_momentum == pytest.approx(long_run.at(500).teacher_momentum, rel=1e-6)
