"""The command line: exit codes, one sentence for what the user can mend, JSON alone on stdout."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from contracts.config import read_yaml
from trainer import cli


def trainer(*arguments: str) -> int:
    return cli.run(cli.app, list(arguments))


def options(settings: list[str], *more: str) -> list[str]:
    return [word for setting in (*settings, *more) for word in ("--set", setting)]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_pretrain_makes_a_whole_run_and_says_so_when_it_is_done(
    here: Path, labelled_images: Path, tiny_settings: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["pretrain", "--data", str(labelled_images), "--steps", "3", "--config", "cpu", "--json"]
    words += options(tiny_settings, f"probe.data={labelled_images}", "probe.every_steps=2")
    assert trainer(*words) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["step"], report["stopped_by"]) == (3, None)
    assert [probe["step"] for probe in report["probes"]] == [0, 2, 3]
    (run,) = (here / "runs").iterdir()
    assert run.name.startswith("cpu-")
    names = {path.name for path in run.iterdir()}
    assert {"config.yaml", "plan.yaml", "environment.json", "metrics.jsonl", "checkpoints", "export"} <= names
    assert read_yaml(run / "config.yaml")["run"]["steps"] == 3
    assert read_yaml(run / "plan.yaml")["data"]["images"] == 24
    assert (run / "export" / "provenance.json").is_file()
    weights = (run / "export" / "model.safetensors").read_bytes()

    assert trainer(*words) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["already_finished"] is True
    assert "is finished" in printed.err
    assert (run / "export" / "model.safetensors").read_bytes() == weights

    shutil.rmtree(run)
    assert trainer(*words) == 0
    assert (run / "export" / "model.safetensors").read_bytes() == weights


def test_dry_run_and_plan_print_the_plan_and_write_nothing(
    here: Path, labelled_images: Path, tiny_settings: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", str(labelled_images), "--config", "cpu", *options(tiny_settings)]
    assert trainer("pretrain", *words, "--dry-run", "--json") == 0
    dry = json.loads(capsys.readouterr().out)
    assert trainer("plan", *words, "--json") == 0
    assert json.loads(capsys.readouterr().out) == dry
    assert dry["images_per_step"] == 4
    assert trainer("plan", *words) == 0
    assert "what will run" in capsys.readouterr().out
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "there is no dataset workspace/dataset"),
        (["--data", "nowhere"], "nowhere"),
        (["--config", "huge"], "'huge' is neither a preset"),
        (["--set", "optim.lrr=1"], "did you mean 'lr'"),
        (["--set", "run.device=tpu9"], "tpu9"),
        (["--steps", "0"], "greater than or equal to 1"),
        (["--resume"], "no run"),
    ],
)
def test_what_the_user_can_mend_is_one_sentence_and_exit_code_2(
    here: Path, labelled_images: Path, words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [] if not words or "--data" in words else ["--data", str(labelled_images)]
    assert trainer("pretrain", *given, *words) == 2
    printed = capsys.readouterr()
    errors = [line for line in printed.err.splitlines() if not line.startswith("note:")]
    assert len(errors) == 1
    assert errors[0].startswith("trainer: ")
    assert sentence in errors[0]
    assert printed.out == ""
    assert list(here.iterdir()) == []


def test_another_config_in_the_same_folder_is_refused(
    here: Path, labelled_images: Path, tiny_settings: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["pretrain", "--data", str(labelled_images), "--steps", "1", "--config", "cpu", "--out", "run"]
    assert trainer(*words, *options(tiny_settings)) == 0
    capsys.readouterr()
    assert trainer(*words, *options(tiny_settings, "optim.clip_norm=1.5")) == 2
    assert "optim.clip_norm 3.0 where 1.5 is asked for now" in capsys.readouterr().err
    assert trainer(*words, *options(tiny_settings, "run.keep_checkpoints=5")) == 0


def test_an_unknown_option_is_exit_code_2_and_our_bug_is_1(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert trainer("pretrain", "--speed", "9") == 2
    monkeypatch.setattr(cli.api, "plan", lambda *_, **__: 1 / 0)
    assert trainer("plan") == 1


@pytest.mark.parametrize(("said", "holds"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_idle_threads_sleep_unless_the_environment_says_otherwise(
    said: str | None, holds: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", said or "")
    if said is None:
        del os.environ["OMP_WAIT_POLICY"]
    assert trainer("--help") == 0
    assert os.environ["OMP_WAIT_POLICY"] == holds


@pytest.mark.parametrize("command", [[], ["pretrain"], ["plan"]])
def test_help_shows_an_example(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert trainer(*command, "--help") == 0
    assert "Example: trainer" in capsys.readouterr().out
