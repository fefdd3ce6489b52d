"""What a run folder tells: its settings, numbers, warnings and pictures, also while the run goes on still."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contracts.config import read_yaml
from contracts.errors import MissingInput, UserError
from contracts.publish import read_json
from trainer.engine.metrics_log import read_metrics
from trainer.engine.run_folder import RunFolder
from trainer.pictures.folder import PictureFolder

Series = list[tuple[int, float]]
"""(step, value), by step."""
PHASES = {"teacher_heads": "Stage before: new heads of the teacher", "high_resolution": "Phase on larger crops"}
"""Folders inside a run that are training jobs of their own."""


@dataclass(frozen=True)
class RunStory:
    """A run as far as it has come. `plan` and `environment` are empty for a phase, `finished` None while it goes on."""

    root: Path
    config: Mapping[str, Any]
    plan: Mapping[str, Any]
    environment: Mapping[str, Any]
    records: Sequence[Mapping[str, Any]]
    warnings: Sequence[Mapping[str, Any]]
    pictures: PictureFolder
    finished: Mapping[str, Any] | None = None
    phases: tuple[tuple[str, RunStory], ...] = field(default=())

    @property
    def step(self) -> int:
        """The last step that was recorded."""
        return max((int(record["step"]) for record in self.records), default=0)

    @property
    def steps(self) -> int:
        """Steps in all, as far as that is known."""
        return int(self.plan.get("steps", self.step))

    def series(self, name: str) -> Series:
        """All finite values of a number, by step."""
        found = ((int(record["step"]), record.get(name)) for record in self.records)
        return [(step, float(value)) for step, value in found if isinstance(value, int | float)]

    def names(self, prefix: str) -> list[str]:
        """Numbers whose names begin with `prefix`, in the order in which they were first recorded."""
        return list(dict.fromkeys(name for record in self.records for name in record if name.startswith(prefix)))


def read_run(root: Path) -> RunStory:
    """Read a run folder. Errors: MissingInput where there is no run, BrokenArtifact for a file that is not whole."""
    run = RunFolder(root)
    if not run.config.is_file():
        raise MissingInput(f"there is no run in {root}: name the folder that `trainer pretrain` or `distill run` wrote")
    phases = [(title, root / name) for name, title in PHASES.items() if (root / name / run.metrics.name).is_file()]
    return RunStory(
        root=root,
        config=read_yaml(run.config),
        plan=read_yaml(run.plan) if run.plan.is_file() else {},
        environment=read_json(run.environment) if run.environment.is_file() else {},
        records=read_metrics(run.metrics),
        warnings=read_metrics(run.warnings),
        pictures=PictureFolder(run.pictures),
        finished=_report(run),
        phases=tuple((title, _phase(folder)) for title, folder in phases),
    )


def _phase(root: Path) -> RunStory:
    run = RunFolder(root)
    pictures = PictureFolder(run.pictures)
    return RunStory(root, {}, {}, {}, read_metrics(run.metrics), read_metrics(run.warnings), pictures)


def _report(run: RunFolder) -> Mapping[str, Any] | None:
    """The run's report, None while it goes on or where its header is of another version."""
    try:
        return run.finished_report()
    except UserError:
        return None
