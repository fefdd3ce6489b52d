"""A distillation that was stopped is exported and compared as its newest checkpoint has it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from contracts.errors import MissingInput
from contracts.model_folder import read_model_folder
from distill import api
from distill.unfinished_run import export_newest_checkpoint
from trainer.api import evaluate

WORDS = ["run.batch_size=4", "data.workers=0", "run.device=cpu", "pictures.every_steps=0"]
WORDS += ["run.checkpoint_every_steps=2"]


@pytest.mark.parametrize(
    ("students", "heads"),
    [(["vitn8", "vitn4"], "dino_head ibot_head"), (["vitn8"], "")],
    ids=["two students, prototypes", "one student, features"],
)
def test_the_newest_checkpoint_is_what_a_finished_run_exports(
    students: list[str], heads: str, make_teacher: Callable[..., Path], pictures: Path, tmp_path: Path
) -> None:
    """The run is finished, and made to look as if it had been killed after its last checkpoint."""
    run, teacher = tmp_path / "run", make_teacher(heads=heads)
    api.run(students, teacher=str(teacher), data=str(pictures), config="cpu", steps=4, out=run, overrides=WORDS)
    assert export_newest_checkpoint(str(run)) is None  # finished
    (run / "run.json").unlink()
    assert export_newest_checkpoint(str(run)) is None  # that very step is exported
    whole = (run / "export").rename(tmp_path / "export")
    with pytest.raises(MissingInput, match=f"is not finished.*`distill export {run} --out FOLDER`"):
        evaluate(str(run), str(pictures))
    reports = api.export(str(run), "hf", tmp_path / "out")
    assert len(reports) == len(students)
    files = [file.relative_to(whole) for file in whole.rglob("*.safetensors")]
    assert len(files) == len(students) * (2 if heads else 1)
    for file in files:
        assert (run / "export" / file).read_bytes() == (whole / file).read_bytes(), file
        assert read_model_folder((run / "export" / file).parent).provenance["step"] == 4
    shutil.rmtree(run / "export")
    compared = api.evaluate([str(run)], str(pictures), tasks=["knn"], baselines=False, device="cpu")
    assert len(compared["results"]) == 1 + len(students)


def test_pretraining_runs_and_other_folders(make_teacher: Callable[..., Path], tmp_path: Path) -> None:
    assert export_newest_checkpoint(str(make_teacher())) is None
    assert export_newest_checkpoint("owner/name") is None
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("students: {archs: [vitn8]}\nteacher: {model: x}\n")
    assert export_newest_checkpoint(str(tmp_path / "run")) is None  # no checkpoint yet
    with pytest.raises(MissingInput, match="neither an export nor a checkpoint"):
        evaluate(str(tmp_path / "run"), "nothing")
    (tmp_path / "run" / "checkpoints" / "step_00000002").mkdir(parents=True)
    with pytest.raises(MissingInput, match=r"step_00000002 is a checkpoint.*name the run, .*run$"):
        evaluate(str(tmp_path / "run" / "checkpoints" / "step_00000002"), "nothing")
