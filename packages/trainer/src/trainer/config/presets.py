"""Presets: named recipes as YAML files in trainer/presets, read like a user's own file."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from contracts.config import apply_overrides, read_yaml, validate_config
from contracts.errors import MissingInput, nearest_name
from trainer.config.pretrain import PretrainConfig


def preset_names() -> list[str]:
    """Names that `--config` knows."""
    return sorted(
        entry.name.removesuffix(".yaml") for entry in files("trainer.presets").iterdir() if entry.name.endswith(".yaml")
    )


def preset_values(name: str) -> dict[str, Any]:
    """The settings of a preset that differ from the defaults."""
    values: dict[str, Any] = yaml.safe_load(files("trainer.presets").joinpath(f"{name}.yaml").read_text("utf-8"))
    return values


def load_pretrain_config(name_or_file: str, overrides: Sequence[str] = ()) -> PretrainConfig:
    """Defaults < the preset or YAML file < overrides of the form a.b=c.

    Errors: MissingInput when neither preset nor file has that name, ConfigError for bad settings.
    """
    if name_or_file in preset_names():
        values, where = preset_values(name_or_file), f"preset {name_or_file}"
    else:
        file = Path(name_or_file)
        if not file.exists():
            raise MissingInput(
                f"{name_or_file!r} is neither a preset ({nearest_name(name_or_file, preset_names())}) nor a YAML file"
            )
        values, where = read_yaml(file), str(file)
    if overrides:
        where += " with --set"
    return validate_config(PretrainConfig, apply_overrides(values, overrides), where=where)
