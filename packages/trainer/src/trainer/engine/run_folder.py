"""The run folder: where everything of a run lies, and whether the run that is asked for is the one that is there.

config.yaml  plan.yaml  environment.json      published before the first step
metrics.jsonl  tensorboard/  warnings.jsonl    grow while the run goes on
skipped_images.jsonl                          images that could not be used
pictures/                                     see pictures/folder.py
checkpoints/step_00001000/                    see engine/checkpoint.py
export/                                       the model folder
run.json                                      header, published last: the run is finished
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.config import StrictModel, config_sha256, dump_yaml, plain_values, read_yaml
from contracts.errors import ConfigError, MissingInput, UserError
from contracts.header import read_header, write_header
from contracts.publish import publish_json, publish_text, remove_drafts

FORMAT, VERSION = "winnow.run", 1
INPUTS = "inputs"
"""Section of plan.yaml with what tells the run's data apart from other data."""


@dataclass(frozen=True)
class RunFolder:
    """Paths of a run."""

    root: Path

    @property
    def config(self) -> Path:
        """What was asked."""
        return self.root / "config.yaml"

    @property
    def plan(self) -> Path:
        """What runs."""
        return self.root / "plan.yaml"

    @property
    def environment(self) -> Path:
        """Versions and device."""
        return self.root / "environment.json"

    @property
    def metrics(self) -> Path:
        """One JSON object per logged step."""
        return self.root / "metrics.jsonl"

    @property
    def tensorboard(self) -> Path:
        """The same numbers as TensorBoard events."""
        return self.root / "tensorboard"

    @property
    def warnings(self) -> Path:
        """One JSON object per warning; not there when there was none."""
        return self.root / "warnings.jsonl"

    @property
    def skipped_images(self) -> Path:
        """One JSON object per image that could not be used; not there when there was none."""
        return self.root / "skipped_images.jsonl"

    @property
    def pictures(self) -> Path:
        """What the model has made of a few images."""
        return self.root / "pictures"

    @property
    def checkpoints(self) -> Path:
        """Private: what a resumed run needs."""
        return self.root / "checkpoints"

    @property
    def export(self) -> Path:
        """Public: the model folder."""
        return self.root / "export"

    @property
    def header(self) -> Path:
        """Exists if and only if the run is finished."""
        return self.root / "run.json"

    def finished_report(self) -> dict[str, Any] | None:
        """The report of a finished run, None while it is not finished."""
        if not self.header.is_file():
            return None
        return read_header(self.header, format_name=FORMAT, version=VERSION, made_with="trainer pretrain")


@dataclass(frozen=True)
class RunIdentity:
    """What makes two runs the same: the asked settings without those that change no result, and the data.

    `free` names the settings (dotted, a section stands for all of it) that may differ when a run goes on.
    """

    config: StrictModel
    data: Mapping[str, Any]
    free: Collection[str] = ()

    def settings(self) -> dict[str, Any]:
        """The settings that decide the result, by dotted name."""
        return self._bound(flat(plain_values(self.config)))

    def sha256(self) -> str:
        """Hex sha256 of settings and data."""
        return config_sha256({"settings": self.settings(), "data": dict(self.data)})

    def difference(self, run: RunFolder) -> str | None:
        """One phrase on the first setting in which a run that is there differs from this one, or None."""
        there = self._bound(flat(read_yaml(run.config)))
        here = self.settings()
        for name in [*here, *(there.keys() - here.keys())]:
            if there.get(name) != here.get(name):
                return f"{name} {there.get(name)!r} where {here.get(name)!r} is asked for now"
        plan = read_yaml(run.plan) if run.plan.is_file() else {}
        before = flat(plan.get(INPUTS) or {})
        for name, value in flat(dict(self.data)).items():
            if name in before and before[name] != value:
                return f"other data ({name} was {before[name]!r} and is {value!r} now)"
        return None

    def _bound(self, settings: dict[str, Any]) -> dict[str, Any]:
        return {
            name: value
            for name, value in settings.items()
            if not any(name == free or name.startswith(f"{free}.") for free in self.free)
        }


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted name."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            found.update(flat(value, f"{name}."))
        else:
            found[name] = list(value) if isinstance(value, tuple) else value
    return found


def open_run(root: Path, identity: RunIdentity, *, resume: bool | None) -> RunFolder:
    """The run folder for what is asked: a new one, or one that holds the same run, finished or not.

    resume: None takes what is there, True wants an unfinished or finished run, False wants none.
    Errors: MissingInput (True and nothing there), ConfigError (other settings or data), UserError (False and a run
    is there, or the folder holds something else).
    """
    run = RunFolder(root)
    if not run.config.is_file():
        if resume:
            raise MissingInput(f"there is no run in {root} to go on with: leave out --resume to start one")
        if root.is_dir() and any(root.iterdir()) and not _only_drafts(root):
            raise UserError(f"{root} is not empty and holds no run: name another folder with --out")
        return run
    if resume is False:
        raise UserError(f"{root} already holds a run: name another folder with --out, or leave out --no-resume")
    difference = identity.difference(run)
    if difference is not None:
        raise ConfigError(
            f"the run in {root} has {difference}: name another folder with --out, or ask for the same as before"
        )
    return run


def publish_run_files(
    run: RunFolder, identity: RunIdentity, plan: Mapping[str, Any], environment: Mapping[str, Any]
) -> None:
    """Publish what was asked, what will run and on what; config.yaml last, since it marks the folder as a run."""
    run.root.mkdir(parents=True, exist_ok=True)
    remove_drafts(run.root)
    publish_plan(run, identity, plan)
    publish_json(run.environment, dict(environment))
    publish_text(run.config, dump_yaml(identity.config))


def publish_plan(run: RunFolder, identity: RunIdentity, plan: Mapping[str, Any]) -> None:
    """Publish what will run, and what tells its data apart from other data."""
    run.root.mkdir(parents=True, exist_ok=True)
    publish_text(run.plan, dump_yaml({**plan, INPUTS: dict(identity.data)}))


def publish_finished(run: RunFolder, identity_sha256: str, fields: Mapping[str, Any]) -> None:
    """Publish run.json: the run is finished."""
    write_header(run.header, format_name=FORMAT, version=VERSION, config_sha256=identity_sha256, fields=fields)


def _only_drafts(root: Path) -> bool:
    """True when a killed start left nothing but the files that come before config.yaml."""
    return all(p.name in ("plan.yaml", "environment.json") or ".draft-" in p.name for p in root.iterdir())
