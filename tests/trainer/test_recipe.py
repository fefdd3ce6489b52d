"""Schedules fit the run that is asked for."""

from __future__ import annotations

from trainer.config.presets import load_pretrain_config
from trainer.optim.schedules import build_schedules
from trainer.recipe import schedule_settings


def test_lengths_scale_with_the_run_and_this_is_said() -> None:
    fitted = schedule_settings(load_pretrain_config("vitl16_short", ["run.steps=1250"]))
    assert fitted.settings.warmup_steps == 125
    assert fitted.settings.teacher_temp_warmup_steps == 375
    assert fitted.settings.freeze_last_layer_steps == 12
    assert fitted.settings.lr == schedule_settings(load_pretrain_config("vitl16_short")).settings.lr
    assert "125000 steps are scaled to 1250" in fitted.notes[0]


def test_lengths_stand_as_written_without_a_reference() -> None:
    config = load_pretrain_config("cpu", ["schedules.for_steps=null", "run.steps=400", "schedules.warmup_steps=50"])
    fitted = schedule_settings(config)
    assert fitted.settings.warmup_steps == 50
    assert fitted.notes == ()


def test_a_warm_up_longer_than_the_run_is_cut_and_this_is_said() -> None:
    config = load_pretrain_config("cpu", ["schedules.for_steps=null", "run.steps=10", "schedules.warmup_steps=50"])
    fitted = schedule_settings(config)
    assert fitted.settings.warmup_steps == 5
    assert "schedules.warmup_steps 50 is longer than the run of 10 steps" in fitted.notes[0]
    assert build_schedules(fitted.settings).steps == 10


def test_one_step_is_enough() -> None:
    fitted = schedule_settings(load_pretrain_config("vitg14", ["run.steps=1"]))
    assert build_schedules(fitted.settings).steps == 1


def test_a_last_layer_that_would_never_train_is_frozen_for_a_tenth_and_this_is_said() -> None:
    changes = ["schedules.for_steps=null", "schedules.warmup_steps=5", "run.steps=40"]
    fitted = schedule_settings(load_pretrain_config("cpu", [*changes, "schedules.freeze_last_layer_steps=40"]))
    assert fitted.settings.freeze_last_layer_steps == 4
    assert "would keep the last layer frozen for all 40 steps" in fitted.notes[0]
    fitted = schedule_settings(load_pretrain_config("cpu", [*changes, "schedules.freeze_last_layer_steps=39"]))
    assert fitted.settings.freeze_last_layer_steps == 39
