"""Joins by lists on disk: in parts, after a kill, grown by new rows, always the same pairs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from curation.engine.local import LocalEngine
from curation.index import list_join, overlap_index
from curation.index.join import JoinPlace, Pairs, cross_join, self_join
from curation.index.mirror_cosine import unit_rows
from curation.index.overlap_index import IndexedVectors, prepare_index, read_index
from curation.index.plan import IndexPlan, plan_index

ROWS, DIM, LEAST = 3000, 32, 0.8


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many parts of few rows, so that cutting, resuming and merging happen at all."""
    monkeypatch.setattr(overlap_index, "ROWS_PER_PART", 500)
    monkeypatch.setattr(list_join, "PRODUCTS_PER_PART", 60_000)
    monkeypatch.setattr(list_join, "BLOCK_ROWS", 64)
    monkeypatch.setattr(list_join, "BLOCK_COLUMNS", 100)


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    """Groups of six that lie anywhere among the rows."""
    rng = np.random.default_rng(0)
    base = rng.standard_normal((ROWS // 6, DIM))
    rows = np.repeat(base, 6, axis=0) + 0.3 * rng.standard_normal((ROWS, DIM))
    return np.asarray(unit_rows(rows[rng.permutation(ROWS)]), np.float16)


def plan(rows: int = ROWS) -> IndexPlan:
    return plan_index(rows, DIM, "ivf", lists=40)


def place(folder: Path, workers: int = 1, first: int = 0) -> JoinPlace:
    return JoinPlace(folder / "lists", folder / f"joining-{first}", LocalEngine(workers), str, first)


def same(one: Pairs, other: Pairs) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("a", "b", "cosine"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*.npy")}


def test_parts_and_workers_do_not_matter(vectors: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = self_join(vectors, LEAST, plan(), None, 0, place(tmp_path / "one"))
    two = self_join(vectors, LEAST, plan(), None, 0, place(tmp_path / "two", workers=3))
    assert len(list((tmp_path / "one").glob("joining-0/*/pairs-*.npy"))) > 3
    assert len(list((tmp_path / "one").glob("lists/rows-*.npy"))) == 6
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    monkeypatch.setattr(list_join, "PRODUCTS_PER_PART", 10**9)
    whole = self_join(vectors, LEAST, plan())
    assert same(one, two) and same(one, whole)
    exact = self_join(vectors, LEAST, plan_index(ROWS, DIM, "exact"))
    assert len(one) > 0.98 * len(exact) > 5000


def test_a_killed_join_goes_on_with_the_parts_that_are_missing(vectors: np.ndarray, tmp_path: Path) -> None:
    before = self_join(vectors, LEAST, plan(), None, 0, place(tmp_path))
    files = contents(tmp_path)
    kept = {
        path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy") if path.stem.startswith(("rows", "pairs"))
    }
    (joining,) = tmp_path.glob("joining-0/*/pairs-00001.npy")
    for lost in (tmp_path / "lists" / "rows-000000001000-000000001500.npy", joining):
        lost.unlink()
        kept.pop(lost)
    (tmp_path / "lists" / "rows-000000001000-000000001500.npy.draft-1-0").write_bytes(b"half")
    assert same(self_join(vectors, LEAST, plan(), None, 0, place(tmp_path)), before)
    assert contents(tmp_path) == files
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_later_rows_join_lists_that_are_there(vectors: np.ndarray, tmp_path: Path) -> None:
    old, asked = 2100, plan(2100)
    first = self_join(vectors[:old], LEAST, asked, None, 0, place(tmp_path))
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "lists").iterdir()}
    new = self_join(vectors, LEAST, plan(), None, 0, place(tmp_path, first=old))
    assert (new.b >= old).all() and (new.a < new.b).all()
    assert {path: path.stat().st_mtime_ns for path in made} == made, "nothing of the old rows was made again"
    found = set(zip(first.a, first.b, strict=True)) | set(zip(new.a, new.b, strict=True))
    exact = self_join(vectors, LEAST, plan_index(ROWS, DIM, "exact"))
    everything = set(zip(exact.a, exact.b, strict=True))
    assert found <= everything and len(found) > 0.98 * len(everything)


def test_lists_are_made_anew_for_other_rows_settings_or_many_more_rows(vectors: np.ndarray, tmp_path: Path) -> None:
    def trained(rows: int, name: str, lists: int = 40) -> int:
        np.save(tmp_path / "v.npy", vectors[:rows])
        indexed = IndexedVectors(lambda: str(tmp_path / "v.npy"), rows, 0, lambda n: f"{name} {n}")
        made = prepare_index(tmp_path / "lists", indexed, plan_index(rows, DIM, "ivf", lists=lists), LocalEngine())
        listed = read_index(tmp_path / "lists", rows, made.lists)
        assert sorted(set(listed.order.tolist())) == list(range(rows))
        return made.rows

    assert trained(1000, "a") == 1000
    assert trained(1700, "a") == 1000
    assert trained(1700, "b") == 1700
    assert trained(1700, "b", lists=30) == 1700
    assert trained(3000, "b", lists=30) == 1700
    assert trained(1200, "b", lists=30) == 1200
    assert trained(3000, "b", lists=30) == 3000


def test_references_are_compared_through_the_lists_of_the_pool(vectors: np.ndarray, tmp_path: Path) -> None:
    here = place(tmp_path)
    self_join(vectors, LEAST, plan(), None, 0, here)
    made = (tmp_path / "lists" / "index.json").stat().st_mtime_ns
    elsewhere = replace(here, scratch=tmp_path / "elsewhere")
    found = cross_join(vectors[:50], vectors, 0.999, plan(), 0, elsewhere)
    assert set(zip(found.a.tolist(), found.b.tolist(), strict=True)) >= {(n, n) for n in range(50)}
    assert (tmp_path / "lists" / "index.json").stat().st_mtime_ns == made
    assert not (tmp_path / "elsewhere" / "vectors.npy").exists(), "lists that are there need no vectors"


def test_what_a_killed_join_left_is_not_used_with_other_lists(vectors: np.ndarray, tmp_path: Path) -> None:
    first = self_join(vectors, LEAST, plan(), None, 0, place(tmp_path))
    for part in tmp_path.glob("joining-0/*/pairs-*.npy"):
        np.save(part, np.empty(0, np.int64))
    other = plan_index(ROWS, DIM, "ivf", lists=50)
    again = self_join(vectors, LEAST, other, None, 0, place(tmp_path))
    assert len(again) > 0.98 * len(first)
