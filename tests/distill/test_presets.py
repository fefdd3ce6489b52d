"""Every preset is a whole configuration; that of CIFAR-10 shows the students what the teacher saw."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest
import yaml

from distill.read_config import complete_config, preset_names, read_values
from trainer.export.model_folder import load_model


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_is_a_whole_configuration(make_teacher: Callable[..., Path], name: str) -> None:
    values = read_values(name, ["teacher.model=x", "students.archs=[vitn4]", "crops.global_px=16", "crops.local_px=8"])
    config = complete_config(values, load_model(make_teacher()), where=name)
    assert config.objective.kind == "prototypes"
    assert config.schedules.warmup_steps < (config.schedules.for_steps or config.run.steps)


def test_students_on_cifar10_see_the_crops_of_their_teacher() -> None:
    teacher, student = (
        yaml.safe_load(files(f"{package}.presets").joinpath("cifar10.yaml").read_text("utf-8"))
        for package in ("trainer", "distill")
    )
    assert student["crops"] == teacher["crops"]
    for name in ("for_steps", "warmup_steps", "weight_decay", "final_weight_decay"):
        assert student["schedules"][name] == teacher["schedules"][name]
    assert student["run"]["batch_size"] == teacher["run"]["batch_size"]
