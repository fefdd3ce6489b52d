from __future__ import annotations

from pathlib import Path

import pytest
from tests.curation.small_pool import curated

from contracts.errors import MissingInput
from curation import api


def test_diff_counts_what_came_went_and_moved(tmp_path: Path) -> None:
    small = curated(tmp_path, "retrieve.per_query=1")
    with api.open_engine("local") as engine:
        a = Path(api.build(small.workspace, small.config(), engine, api.BuildTarget(tmp_path / "a")).path)
        api.retrieve(small.workspace, small.config("retrieve.per_query=2"), ["warm"], engine)
        api.retrieve(small.workspace, small.config("retrieve.per_query=1"), [f"blue={small.pool / 'blue'}"], engine)
        b = Path(api.build(small.workspace, small.config(), engine, api.BuildTarget(tmp_path / "b")).path)
    report = api.diff(a, b)
    assert (report.images_a, report.images_b, report.both, report.only_a) == (6, 24, 6, 0)
    assert report.only_b == 18
    assert {(part.seed, part.images_a, part.images_b) for part in report.parts} == {("blue", 0, 12), ("warm", 6, 12)}
    assert len(report.examples_b) == 10
    back = api.diff(b, a)
    assert (back.only_a, back.only_b) == (18, 0)
    assert api.diff(a, a).counts() | {"a": "", "b": ""} == {
        "a": "",
        "b": "",
        "images_a": 6,
        "images_b": 6,
        "both": 6,
        "only_a": 0,
        "only_b": 0,
        "moved": 0,
    }
    with pytest.raises(MissingInput, match="curate build"):
        api.diff(a, tmp_path / "none")
