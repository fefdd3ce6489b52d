"""A run that was stopped is evaluated as its newest checkpoint has it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file

from contracts.model_folder import BACKBONE_FILE, read_model_folder
from trainer import api
from trainer.engine.checkpoint import newest_checkpoint
from trainer.unfinished_run import export_newest_checkpoint


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory, labelled_images: Path, tiny_settings: list[str]) -> Path:
    """A finished run of six steps, made to look as if it had been killed after its last checkpoint."""
    run = tmp_path_factory.mktemp("runs") / "run"
    overrides = [*tiny_settings, "run.checkpoint_every_steps=2"]
    api.pretrain("cpu", data=str(labelled_images), out=run, steps=6, overrides=overrides)
    (run / "run.json").unlink()
    return run


def test_the_newest_checkpoint_is_what_a_finished_run_exports(stopped: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(stopped, run)
    assert export_newest_checkpoint(str(run)) is None  # that very step is exported
    shutil.rmtree(run / "export")
    assert export_newest_checkpoint(str(run)) == 6
    for name in (BACKBONE_FILE, "heads.safetensors"):
        assert (run / "export" / name).read_bytes() == (stopped / "export" / name).read_bytes()
    assert read_model_folder(run / "export").provenance["step"] == 6


def test_an_older_export_is_renewed(stopped: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(stopped, run)
    newest, _ = newest_checkpoint(run / "checkpoints")
    assert newest is not None
    hidden = newest.path.rename(tmp_path / "hidden")
    shutil.rmtree(run / "export")
    assert export_newest_checkpoint(str(run)) == 4
    before = load_file(run / "export" / BACKBONE_FILE)
    hidden.rename(newest.path)
    assert export_newest_checkpoint(str(run)) == 6
    after = load_file(run / "export" / BACKBONE_FILE)
    assert any(not before[name].equal(after[name]) for name in before)


def test_it_is_evaluated(stopped: Path, labelled_images: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(stopped, run)
    shutil.rmtree(run / "export")
    report = api.evaluate(str(run), str(labelled_images), baselines=False, device="cpu")
    assert json.dumps(report["results"]["model"]["knn"]["10"])


def test_finished_runs_and_other_folders_are_left_alone(stopped: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(stopped, run)
    shutil.rmtree(run / "export")
    (run / "run.json").write_text("{}")
    assert export_newest_checkpoint(str(run)) is None
    assert export_newest_checkpoint("owner/name") is None
    assert not (run / "export").exists()
