"""The page of a run: made of the run's files alone, also while it goes on; pictures change no weight."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from contracts.errors import MissingInput
from trainer import api
from trainer.engine.metrics_log import MetricsLog
from trainer.engine.run_folder import RunFolder
from trainer.pictures.painter import EVENT_TILE_PX, NEAREST
from trainer.report.read_run import read_run
from trainer.report.run_charts import SECTIONS

PICTURES = ["pictures.every_steps=2", "pictures.images=3", "pictures.gallery=24"]


@pytest.fixture(scope="module")
def run(labelled_images: Path, tiny_settings: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five steps with a probe and pictures."""
    out = tmp_path_factory.mktemp("pictured") / "run"
    words = [*tiny_settings, *PICTURES, f"probe.data={labelled_images}", "probe.every_steps=5"]
    api.pretrain("cpu", data=str(labelled_images), out=out, steps=5, overrides=words)
    return out


def headings(page: str) -> list[str]:
    return re.findall(r"<h2>([^<]+)</h2>", page)


def test_the_page_tells_everything_in_one_file(run: Path, tmp_path: Path) -> None:
    report = api.report(run, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert report["bytes"] == len(page.encode()) < 2**20
    assert (report["step"], report["steps"], report["finished"]) == (5, 5, True)
    assert report["pictures"] == [0, 2, 4, 5]
    assert headings(page) == [
        "What it has learned",
        "Losses",
        "Patches, as colours",
        "Where the class token looks",
        "Nearest neighbours, early and late",
        "Health",
        "Schedules",
        "Machine",
        "Settings and versions",
    ]
    for title in (
        "k-NN accuracy, %",
        "Losses over ln K",
        "Learning rate",
        "Images per second",
    ):
        assert f"<figcaption>{title}</figcaption>" in page
    for words in ("Feature rank (RankMe)", "Entropy of the teacher", "Share of prototypes in use", "Waiting for data"):
        assert words in page
    assert "global_px: 16" in page and "torch" in page
    assert not re.search(r"<script|<link|src='(?!data:)|href=|https?://", page)
    HTMLParser().feed(page)
    assert page.count("<img src='data:image/png") == 3 * 4 * 2


def test_a_run_that_goes_on_has_a_page_as_well(run: Path, tmp_path: Path) -> None:
    half = tmp_path / "half"
    shutil.copytree(run, half, ignore=shutil.ignore_patterns("run.json", "export", "step_00000005"))
    lines = (half / "metrics.jsonl").read_text().splitlines(keepends=True)
    (half / "metrics.jsonl").write_text("".join(lines[:5]) + lines[5][:20])
    with MetricsLog(RunFolder(half), 1000) as log:
        log.warn(3, "features are <flat>")
        log.write(3, {"probe/linear_accuracy": 0.5})
    report = api.report(half)
    page = (half / "report.html").read_text()
    assert not report["finished"] and 0 < report["step"] < 5
    assert "<figcaption>Linear probe accuracy, %</figcaption>" in page
    assert "not finished" in page and "features are &lt;flat&gt;" in page
    assert report["warnings"] == ["features are <flat>"]


def test_a_run_without_pictures_says_how_to_get_them(run: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(run, bare, ignore=shutil.ignore_patterns("pictures", "plan.yaml", "environment.json"))
    api.report(bare)
    assert "pictures.every_steps" in (bare / "report.html").read_text()
    with pytest.raises(MissingInput, match="there is no run in"):
        api.report(tmp_path)


def test_pictures_change_no_weight_and_may_be_left_out_when_a_run_goes_on(
    run: Path, labelled_images: Path, tiny_settings: list[str], tmp_path: Path
) -> None:
    """The same run folder without its checkpoints, gone on from with pictures off."""
    again = tmp_path / "again"
    shutil.copytree(run, again, ignore=shutil.ignore_patterns("run.json", "export", "checkpoints", "tensorboard"))
    words = [*tiny_settings, "pictures.every_steps=0"]
    api.pretrain("cpu", data=str(labelled_images), out=again, steps=5, overrides=words, resume=True)
    for name in ("model.safetensors", "heads.safetensors"):
        assert (again / "export" / name).read_bytes() == (run / "export" / name).read_bytes()


def test_tensorboard_carries_the_pictures(run: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    kinds = {"images", "components", "attention", "neighbours"}
    assert set(events.Tags()["images"]) == {f"pictures/{kind}" for kind in kinds}
    assert all([event.step for event in events.Images(f"pictures/{kind}")] == [0, 2, 4, 5] for kind in kinds)
    sheet = events.Images("pictures/neighbours")[-1]
    assert (sheet.width, sheet.height) == ((1 + NEAREST) * EVENT_TILE_PX, 3 * EVENT_TILE_PX)


def test_tensorboard_carries_every_number_of_the_report(run: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    story = read_run(run)
    drawn = {name for wanted in SECTIONS.values() for one in wanted for name in story.names("") if one.fits(name)}
    assert {"probe/knn_accuracy", "knobs/lr", "images_per_second", "data_wait", "diagnostics/rank_me"} <= drawn
    assert any(name.endswith("_over_ln_k") for name in drawn)
    for name in drawn:
        kept = [(event.step, event.value) for event in events.Scalars(name)]
        assert kept == [(step, pytest.approx(value, rel=1e-5)) for step, value in story.series(name)], name


def test_the_command_prints_its_report(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from trainer import cli

    assert cli.run(cli.app, ["report", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["report"] == str(run / "report.html")
    assert cli.run(cli.app, ["report", "nowhere"]) == 2
    assert "there is no run in nowhere" in capsys.readouterr().err
