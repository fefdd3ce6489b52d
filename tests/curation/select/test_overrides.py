from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from curation.select.overrides import Override, add_overrides, read_overrides, remove_overrides


def key(number: int) -> str:
    return f"{number:024x}"


def said(number: int, action: str = "keep", **more: str) -> Override:
    return Override(key(number), action, f"2026-01-31T12:00:00.{number:06d}Z", **more)


def add_some(file: Path, first: int) -> None:
    for number in range(first, first + 10):
        add_overrides(file, [said(number)])


def test_a_new_decision_takes_the_place_of_one_of_its_kind(tmp_path: Path) -> None:
    file = tmp_path / "overrides.parquet"
    add_overrides(file, [said(1), said(1, "split"), said(2)])
    add_overrides(file, [said(1, "drop", note="blurred"), said(1, "merge", into=key(2))])
    rows = {(row["key"], row["action"]): row for row in read_overrides(file).to_pylist()}
    assert set(rows) == {(key(1), "drop"), (key(1), "merge"), (key(2), "keep")}
    assert rows[key(1), "drop"]["note"] == "blurred"
    assert remove_overrides(file, [key(1)], ["merge"]).num_rows == 2
    assert remove_overrides(file, [key(1), key(2)]).num_rows == 0
    assert not file.exists()


def test_processes_that_decide_at_once_lose_nothing(tmp_path: Path) -> None:
    file = tmp_path / "overrides.parquet"
    with ProcessPoolExecutor(3) as pool:
        list(pool.map(add_some, [file] * 3, [0, 10, 20]))
    assert read_overrides(file).num_rows == 30
