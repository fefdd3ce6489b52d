"""The page of students side by side: numbers, curves and differences of runs, also of one that goes on still."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import MissingInput
from distill import api, side_by_side

WORDS = ["run.batch_size=4", "data.workers=0", "run.device=cpu", "run.log_every_steps=1", "probe.every_steps=9"]


@pytest.fixture
def runs(make_teacher: Callable[..., Path], pictures: Path, tmp_path: Path) -> list[Path]:
    """Two runs of two steps, with different objectives."""
    teacher = str(make_teacher())
    outs = [tmp_path / "runs" / kind for kind in ("prototypes", "features")]
    for out in outs:
        asked: dict[str, Any] = {"teacher": teacher, "data": str(pictures), "config": "cpu", "steps": 2}
        words = [*WORDS, f"objective.kind={out.name}", f"probe.data={pictures}"]
        api.run(["vitn8"], out=out, overrides=words, **asked)
    return outs


def test_runs_side_by_side(runs: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "SPEED_SECONDS", 0.01)
    report = api.report(runs, max_images=12, tasks=["knn"], device="cpu")
    page = (runs[0] / "students.html").read_text()
    assert report["bytes"] == len(page.encode()) < 2**20
    names = [row[0] for row in report["evaluation"]["table"]["rows"]]
    assert names[:3] == ["teacher", *(f"student vitn8 ({run})" for run in runs)]
    assert re.findall(r"<h2>([^<]+)</h2>", page) == [
        "Accuracy, likeness to the teacher, size",
        "Over the steps",
        "Patches, as colours, at the end",
        "What differs",
        "Settings",
    ]
    for words in ("CKA", "cosine", "params (M)", "k-NN accuracy, %", "objective.kind", "Agreement with the teacher"):
        assert words in page
    assert page.count("<img src='data:image/png") == 6 * 2
    assert not re.search(r"<script|<link|src='(?!data:)|href=|https?://", page)
    _other_teacher(runs)
    _goes_on(runs)


def _other_teacher(runs: list[Path]) -> None:
    """Likeness is to one teacher: where the runs have several, the page says so."""
    config = (runs[1] / "config.yaml").read_text()
    (runs[1] / "config.yaml").write_text(re.sub(r"(?m)^  model: .*$", "  model: another", config))
    api.report(runs, max_images=12, tasks=["knn"], device="cpu")
    assert "The runs have 2 teachers: likeness is to" in (runs[0] / "students.html").read_text()


def _goes_on(runs: list[Path]) -> None:
    """A run without a model is compared by its curves; without labelled images, no model is opened."""
    shutil.rmtree(runs[1] / "export")
    (runs[1] / "run.json").unlink()
    report = api.report(runs, runs[0] / "other.html", max_images=12, tasks=["knn"], device="cpu")
    assert report["without_model"] == ["features"]
    assert "features has no model yet" in (runs[0] / "other.html").read_text()
    for run in runs:
        config = (run / "config.yaml").read_text()
        (run / "config.yaml").write_text(re.sub(r"(?m)^probe:\n  data: .*$", "probe:\n  data: null", config))
    assert api.report(runs)["evaluation"] is None
    page = (runs[0] / "students.html").read_text()
    assert "No labelled images were named" in page and "<h2>Sizes</h2>" in page


def test_what_is_no_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="there is no run in"):
        api.report([tmp_path])
