"""The demo recipe at its smallest: every stage with its real code, and a run that was killed goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pipelines.recipe import read_whole_recipe
from pipelines.run import main, run_recipe
from pipelines.steps import STEPS
from pipelines.summary import accuracy_rows, curation_rows, seconds_rows

from contracts.errors import ConfigError, UserError
from contracts.publish import sha256_file

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "pipelines" / "demo.yaml"
SMALL = [
    "demo_images.images=90",
    "demo_images.image_px=32",
    "curate.engine=local",
    "pretrain.steps=3",
    "pretrain.settings=[run.batch_size=8, run.checkpoint_every_steps=1]",
    "distill.steps=2",
    "distill.settings=[run.batch_size=8]",
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "out"
    run_recipe(read_whole_recipe(DEMO, SMALL), out)
    return out


def test_every_stage_leaves_its_result(finished: Path) -> None:
    report = json.loads((finished / "report.json").read_text())
    assert set(report["steps"]) == set(STEPS)
    planted = report["planted"]
    assert planted["files"] == 90
    assert planted["exact_found"] == planted["exact_planted"] > 0
    assert planted["broken_quarantined"] == planted["broken_planted"] > 0
    assert planted["good_quarantined"] == 0
    assert planted["distinct_merged"] == 0
    for run in ("pretrain", "distill"):
        assert (finished / "runs" / run / "export" / "model.safetensors").is_file()
    assert [name for name, _ in accuracy_rows(report)][::2] == ["raw pixels", "pretrained", "distilled"]
    assert all(value.endswith(" %") for _, value in accuracy_rows(report))
    assert ("images in", "90") in curation_rows(report)
    assert [name for name, _ in seconds_rows(report)] == [*STEPS, "all"]


def test_a_finished_recipe_is_passed_over(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sha256_file(finished / "report.json")
    started = time.monotonic()
    overrides = [part for text in SMALL for part in ("--set", text)]
    assert main([str(DEMO), "--out", str(finished), "--json", *overrides]) == 0
    assert time.monotonic() - started < 5
    assert json.loads(capsys.readouterr().out)["planted"]["files"] == 90
    assert sha256_file(finished / "report.json") == before


def test_another_recipe_in_the_same_folder_is_refused(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="another recipe"):
        run_recipe(read_whole_recipe(DEMO, [*SMALL, "pretrain.steps=4"]), finished)
    assert main([str(DEMO), "--out", str(finished)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_typing_mistake_is_named() -> None:
    with pytest.raises(ConfigError, match=r"unknown setting 'pretrain\.step' \(did you mean 'steps'"):
        read_whole_recipe(DEMO, ["pretrain.step=3"])


@pytest.mark.faults
def test_a_killed_recipe_goes_on_and_ends_with_the_same_dataset_and_weights(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    overrides = [part for text in SMALL for part in ("--set", text)]
    command = [sys.executable, "-m", "pipelines.run", str(DEMO), "--out", str(out), *overrides]
    marks = [out / "workspace" / "dedup" / "groups.parquet", out / "runs" / "pretrain" / "checkpoints"]
    for mark in marks:
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
            while process.poll() is None and not mark.exists():
                time.sleep(0.02)
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    for file in ("runs/pretrain/export/model.safetensors", "runs/distill/export/model.safetensors"):
        assert sha256_file(out / file) == sha256_file(finished / file)
    keys = [_keys(folder) for folder in (out, finished)]
    assert keys[0] == keys[1] != []


def _keys(out: Path) -> list[str]:
    from contracts.dataset_folder import read_dataset

    keys: list[str] = read_dataset(out / "workspace" / "dataset").manifest(["key"]).column("key").to_pylist()
    return keys
