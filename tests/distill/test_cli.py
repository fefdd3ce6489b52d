"""The command line: exit codes, one sentence for what the user can mend, JSON alone on stdout."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from distill.cli import app
from trainer.cli import run
from trainer.export.export_formats import export_as

VITS14_AT_56_PX = 12 * (12 * 384 * 384 + 15 * 384) + (3 * 14 * 14 + 1) * 384 + (17 + 1 + 1 + 2) * 384
"""Blocks, patch projection, positions, class and mask token, final norm."""
SMALL = ["--set", "run.batch_size=4", "--set", "data.workers=0", "--set", "run.device=cpu", "--config", "cpu"]


def test_the_newest_run_teaches_when_none_is_named(
    make_teacher: Callable[..., Path],
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    make_teacher("runs/base/export")
    asked = ["run", "--student", "vitn8", "--data", str(pictures), "--steps", "2", *SMALL]
    assert run(app, [*asked, "--local-crops", "0", "--ibot-tokens", "subset", "--json"]) == 0
    said = capsys.readouterr()
    report = json.loads(said.out)
    assert report["teacher"] == "runs/base"
    assert report["run"].startswith("runs/distill-vitn8-")
    assert "the newest pretrained run" in said.err
    asked = ["evaluate", report["run"], "--data", str(pictures), "--image-px", "16", "--device", "cpu", "--json"]
    asked.append("--no-baselines")
    assert run(app, asked) == 0
    table = json.loads(capsys.readouterr().out)["table"]
    assert [row[0] for row in table["rows"]] == ["teacher", "student vitn8"]
    assert table["header"][-5:] == ["linear (%)", "CKA", "cosine", "params (M)", "images/s"]
    assert run(app, ["export", report["run"], "--format", "official", "--out", "official"]) == 0
    assert (tmp_path / "official" / "teacher_checkpoint.pth").is_file()


def test_a_dry_run_prints_the_plan_and_writes_nothing(
    make_teacher: Callable[..., Path],
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    teacher = make_teacher()
    asked = ["run", "--student", "vits14", "--teacher", str(teacher), "--data", str(pictures), *SMALL]
    assert run(app, [*asked, "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["students"]["vits14"] == {"parameters": VITS14_AT_56_PX, "global_px": 56}
    assert plan["teacher"]["global_px"] == 16
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "--student", "vitn8"], "run `trainer pretrain` first"),
        (["run", "--teacher", "nowhere/"], "there is no model nowhere/"),
        (["run", "--config", "papre"], "did you mean 'paper'"),
        (["run", "--teacher", "TEACHER", "--data", "nowhere"], "there is no nowhere"),
        (["run", "--teacher", "TEACHER", "--set", "optim.lrr=1"], "unknown setting 'optim.lrr'"),
        (["evaluate", "TEACHER", "--data", "nowhere"], "name the teacher with --teacher"),
        (["run", "--teacher", "TIMM"], "make a model folder of it with `trainer import"),
        (["run", "--teacher", "TEACHER", "--student", "vits14", "--student", "vits14"], "names one student twice"),
        (["export", "TEACHER", "--format", "onxx", "--out", "x"], "did you mean 'onnx'"),
    ],
)
def test_what_the_user_can_mend_is_one_sentence_and_exit_code_2(
    make_teacher: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    words = {"TEACHER": str(make_teacher()), "TIMM": str(tmp_path / "timm")}
    export_as(words["TEACHER"], "timm", Path(words["TIMM"]))
    assert run(app, [words.get(word, word) for word in arguments]) == 2
    said = capsys.readouterr()
    lines = [line for line in said.err.splitlines() if line.startswith("distill: ")]
    assert len(lines) == 1
    assert sentence in lines[0]
    assert "Traceback" not in said.err
    assert said.out == ""


def test_resume_takes_three_words(make_teacher: Callable[..., Path], pictures: Path, tmp_path: Path) -> None:
    out, teacher = tmp_path / "run", make_teacher()
    asked = ["run", "--student", "vitn8", "--teacher", str(teacher), "--data", str(pictures), "--out", str(out)]
    asked += ["--steps", "2", *SMALL]
    assert run(app, [*asked, "--resume", "yes"]) == 2
    assert run(app, [*asked, "--resume", "maybe"]) == 2
    assert run(app, [*asked, "--resume", "auto"]) == 0
    assert run(app, [*asked, "--resume", "no"]) == 2
