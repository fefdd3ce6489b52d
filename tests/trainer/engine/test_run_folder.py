"""A run folder takes the same run only, and says in what another one differs."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field

from contracts.config import StrictModel
from contracts.errors import ConfigError, MissingInput, UserError
from trainer.engine.run_folder import RunIdentity, open_run, publish_finished, publish_run_files


class Inner(StrictModel):
    lr: float = Field(1.0, description="rate")
    workers: int = Field(1, description="processes")


class Settings(StrictModel):
    optim: Inner = Inner()
    range: tuple[float, float] = Field((0.1, 0.5), description="two numbers")


def identity(lr: float = 1.0, workers: int = 1, images: int = 10) -> RunIdentity:
    settings = Settings(optim=Inner(lr=lr, workers=workers))
    return RunIdentity(settings, {"images": images, "fingerprint": None}, free=("optim.workers",))


def start(root: Path, asked: RunIdentity) -> None:
    run = open_run(root, asked, resume=None)
    publish_run_files(run, asked, {"steps": 3}, {"torch": "x"})


def test_the_same_run_is_taken_up_also_with_other_workers(tmp_path: Path) -> None:
    start(tmp_path / "run", identity())
    assert open_run(tmp_path / "run", identity(workers=8), resume=None).finished_report() is None
    assert identity().sha256() == identity(workers=8).sha256()


@pytest.mark.parametrize(
    ("asked", "words"),
    [(identity(lr=2.0), "optim.lr 1.0 where 2.0 is asked for now"), (identity(images=11), "images was 10 and is 11")],
)
def test_another_run_is_refused_with_the_difference(tmp_path: Path, asked: RunIdentity, words: str) -> None:
    start(tmp_path / "run", identity())
    with pytest.raises(ConfigError, match=words):
        open_run(tmp_path / "run", asked, resume=None)


def test_resume_insists_and_no_resume_refuses(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="no run"):
        open_run(tmp_path / "run", identity(), resume=True)
    start(tmp_path / "run", identity())
    open_run(tmp_path / "run", identity(), resume=True)
    with pytest.raises(UserError, match="already holds a run"):
        open_run(tmp_path / "run", identity(), resume=False)


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"x")
    with pytest.raises(UserError, match="is not empty and holds no run"):
        open_run(tmp_path, identity(), resume=None)


def test_a_start_that_was_killed_before_config_yaml_can_be_repeated(tmp_path: Path) -> None:
    start(tmp_path / "run", identity())
    (tmp_path / "run" / "config.yaml").rename(tmp_path / "run" / "config.yaml.draft-1-2")
    start(tmp_path / "run", identity())
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == ["config.yaml", "environment.json", "plan.yaml"]


def test_a_finished_run_has_its_report(tmp_path: Path) -> None:
    start(tmp_path / "run", identity())
    run = open_run(tmp_path / "run", identity(), resume=None)
    publish_finished(run, identity().sha256(), {"step": 3})
    report = run.finished_report()
    assert report is not None
    assert report["step"] == 3
