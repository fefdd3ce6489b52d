"""From what a user types to one strict configuration.

Order: defaults < paper.yaml < what teacher and students imply (crops, heads, channels) < the preset or YAML file <
overrides. What is implied is written into the run's config.yaml like everything else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from contracts.config import StrictModel, apply_overrides, read_yaml, validate_config
from contracts.errors import ConfigError, MissingInput, nearest_name
from distill.config import DistillConfig, FeatureObjective, PrototypeObjective
from distill.teachers.teacher import native_grid
from trainer.export.heads_file import HEAD_NAMES
from trainer.export.model_folder import LoadedModel
from trainer.models.heads import PrototypeHead
from trainer.models.sizes import parse_arch

LARGEST_GRID = 16
"""Patches along a side of a global crop, at most: 224 px at patch size 14, as in the published recipe."""
NEW_HEAD = {"prototypes": 8192, "hidden_dim": 2048, "bottleneck_dim": 256}
"""Shape of heads that are learned on a teacher without: no published one, few enough prototypes for a short stage."""
BASE = "paper"
OBJECTIVES: dict[str, type[StrictModel]] = {"prototypes": PrototypeObjective, "features": FeatureObjective}
TEACHERS = {"prototypes": "has heads", "features": "comes without heads"}
"""Which teachers imply an objective."""


def preset_names() -> list[str]:
    """Names that `--config` knows."""
    return sorted(e.name.removesuffix(".yaml") for e in files("distill.presets").iterdir() if e.name.endswith(".yaml"))


def read_values(name_or_file: str, overrides: Sequence[str]) -> dict[str, Any]:
    """What is asked explicitly: a preset or YAML file, then overrides. Errors: MissingInput, ConfigError."""
    if name_or_file in preset_names():
        values = _preset(name_or_file)
    elif Path(name_or_file).exists():
        values = read_yaml(name_or_file)
    else:
        raise MissingInput(
            f"{name_or_file!r} is neither a preset ({nearest_name(name_or_file, preset_names())}) nor a YAML file"
        )
    return apply_overrides(values, overrides)


def complete_config(values: Mapping[str, Any], teacher: LoadedModel, where: str) -> DistillConfig:
    """The whole configuration, for a teacher. Errors: ConfigError in plain words."""
    archs = (values.get("students") or {}).get("archs") or ["vits14"]
    asked = values.get("objective") or {}
    implied = _implied(teacher, str(archs[0]), asked.get("kind"))
    _check_kind(asked, implied["objective"]["kind"])
    return validate_config(DistillConfig, merged(merged(_preset(BASE), implied), values), where=where)


def _check_kind(asked: Mapping[str, Any], kind: str) -> None:
    """Errors: ConfigError for a setting of the objective that the run has not."""
    for other, section in OBJECTIVES.items():
        for name in asked.keys() & (section.model_fields.keys() - OBJECTIVES.get(kind, section).model_fields.keys()):
            why = "" if "kind" in asked else f", since the teacher {TEACHERS[kind]}"
            raise ConfigError(
                f"objective.{name} is a setting of objective.kind={other}, but this run has {kind}{why}: take --set "
                f"objective.kind={other}, or leave {name} out"
            )


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Nested values of both; `above` wins, and another `kind` replaces a section whole."""
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        same_kind = isinstance(value, Mapping) and isinstance(old, Mapping) and _same_kind(old, value)
        result[key] = merged(old, value) if same_kind else value  # type: ignore[arg-type]
    return result


def _same_kind(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    return "kind" not in new or "kind" not in old or new["kind"] == old["kind"]


def _preset(name: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load(files("distill.presets").joinpath(f"{name}.yaml").read_text("utf-8"))
    return values


def _implied(teacher: LoadedModel, arch: str, kind: str | None) -> dict[str, Any]:
    """Crops on the teacher's patch grid in the first student's pixels, and heads like the teacher's."""
    grid, patch = min(native_grid(teacher), LARGEST_GRID), parse_arch(arch).patch_size
    said = teacher.description
    has_heads = "dino_head" in teacher.heads
    prototypes = has_heads if kind is None else kind == "prototypes"
    objective: dict[str, Any] = {"kind": "prototypes" if prototypes else "features"}
    if prototypes:
        objective["heads"] = _heads_like(teacher) if has_heads else {"dino": NEW_HEAD, "ibot": NEW_HEAD}
    return {
        "crops": {
            "global_px": grid * patch,
            "local_px": max(round(grid * 7 / 16), 1) * patch,
            **({} if prototypes else {"local_crops": 0}),
            "channels": teacher.backbone.in_channels,
            "mean": list(said.mean),
            "std": list(said.std),
        },
        "objective": objective,
    }


def _heads_like(teacher: LoadedModel) -> dict[str, Any]:
    found: dict[str, Any] = {"shared": "ibot_head" not in teacher.heads}
    for name in HEAD_NAMES:
        if name in teacher.heads:
            head = teacher.heads[name]
            assert isinstance(head, PrototypeHead)
            s = head.settings
            found[name.removesuffix("_head")] = {
                "prototypes": s.prototypes,
                "hidden_dim": s.hidden_dim,
                "bottleneck_dim": s.bottleneck_dim,
                "layers": s.layers,
                "weight_norm": s.weight_norm,
            }
    return found
