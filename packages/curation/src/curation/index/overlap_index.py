"""Overlapping lists on disk: centroids trained once, every row put into its lists part by part, grown by later rows.

    index.json                             what it is an index of; there when the centroids are
    centroids.npy                          float32 [L, D]
    rows-000000000000-000000032768.npy     int32 [E, 2]: row (counted from the part's first), list; sorted

A killed run goes on with the parts that are missing. Rows that are added behind the old ones get parts of their own;
the old parts stay. Dimensions: N rows, D width, L lists, E entries (a row has one for each of its lists).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.errors import UserError
from contracts.publish import publish_array, publish_json, read_json, remove_drafts
from curation.engine import Engine
from curation.index.lists import ListedVectors, gap_for, lists_of_rows, train_lists
from curation.index.plan import IndexPlan, default_lists
from curation.index.row_files import mapped

Rows = NDArray[np.floating[Any]]
Range = tuple[int, int]
ROWS_PER_PART = 32_768
# No row is in more lists than this many times the mean.
MOST_OVERLAP = 4
# Lists serve until the rows are this many times those that they were trained for.
GROWS_TO = 2


@dataclass(frozen=True)
class IndexedRows:
    """What an index was made from: the first `rows` rows, named by `vectors`, when it was trained.

    `gap`: of cosine, see index.lists.lists_of_rows.
    """

    vectors: str
    rows: int
    lists: int
    overlap: float
    odd_dims: int
    gap: float


@dataclass(frozen=True)
class IndexedVectors:
    """`file()`: the vectors as a .npy file, asked for when an index has to read them.

    `identify(n)`: a name of the first n rows.
    """

    file: Callable[[], str]
    rows: int
    odd_dims: int
    identify: Callable[[int], str]


def prepare_index(folder: Path, vectors: IndexedVectors, plan: IndexPlan, engine: Engine) -> IndexedRows:
    """An index of all rows in `folder`: as it is, grown by the rows that are new, or made anew."""
    folder.mkdir(parents=True, exist_ok=True)
    remove_drafts(folder)
    made = _made(folder)
    if made is None or not _serves(made, vectors, plan):
        shutil.rmtree(folder)
        folder.mkdir()
        made = _train(folder, vectors, plan)
    waiting = []
    for start, stop in _ranges(folder, vectors.rows):
        if not _part(folder, start, stop).is_file():
            waiting.append((start, stop))
    if waiting:
        worker = partial(make_filler, str(folder), vectors.file(), made)
        for _ in engine.map_parts(worker, waiting, label="lists"):
            pass
    return made


def most_lists(made: IndexedRows) -> int:
    """Lists that a row is in at most."""
    return min(made.lists, max(1, round(MOST_OVERLAP * made.overlap)))


def read_index(folder: Path, rows: int, lists: int) -> ListedVectors:
    """The lists of the first `rows` rows, for which `prepare_index` has made them."""
    counts = np.zeros(lists + 1, np.int64)
    ranges = _ranges(folder, rows)
    for start, stop in ranges:
        counts[1:] += np.bincount(mapped(_part(folder, start, stop))[:, 1], minlength=lists)
    starts = np.cumsum(counts)
    order, free = np.empty(starts[-1], np.int64), starts[:-1].copy()
    for start, stop in ranges:
        entries = mapped(_part(folder, start, stop))
        by_list = np.argsort(entries[:, 1], kind="stable")
        found = np.bincount(entries[:, 1], minlength=lists)
        within = np.arange(len(entries)) - np.repeat(np.cumsum(found) - found, found)
        order[np.repeat(free, found) + within] = entries[by_list, 0].astype(np.int64) + start
        free += found
    return ListedVectors(np.asarray(mapped(folder / "centroids.npy")), order, starts)


def make_filler(folder: str, vectors_file: str, made: IndexedRows) -> Callable[[Range], int]:
    """Built once per worker: puts the rows of a part into their lists. The worker returns the number of entries."""
    vectors, centroids = mapped(vectors_file), np.asarray(mapped(Path(folder) / "centroids.npy"))

    def work(part: Range) -> int:
        start, stop = part
        row, found = lists_of_rows(vectors[start:stop], centroids, made.odd_dims, made.gap, most_lists(made))
        entries = np.stack([row.astype(np.int32), found], axis=1)
        publish_array(_part(Path(folder), start, stop), entries)
        return len(entries)

    return work


def _train(folder: Path, vectors: IndexedVectors, plan: IndexPlan) -> IndexedRows:
    rows = mapped(vectors.file())
    centroids = train_lists(rows, plan.lists, vectors.odd_dims)
    gap = gap_for(rows, centroids, vectors.odd_dims, plan.overlap)
    publish_array(folder / "centroids.npy", centroids)
    name = vectors.identify(vectors.rows)
    made = IndexedRows(name, vectors.rows, len(centroids), plan.overlap, vectors.odd_dims, gap)
    publish_json(folder / "index.json", asdict(made))
    return made


def _made(folder: Path) -> IndexedRows | None:
    try:
        return IndexedRows(**read_json(folder / "index.json"))
    except (UserError, TypeError):
        return None  # it is a cache of the vectors: what cannot be read is made anew


def _serves(made: IndexedRows, vectors: IndexedVectors, plan: IndexPlan) -> bool:
    """Whether the rows only grew, not by too much, and the settings are the same."""
    wanted = default_lists(made.rows) if plan.lists == default_lists(vectors.rows) else plan.lists
    same = (made.lists, made.overlap, made.odd_dims) == (wanted, plan.overlap, vectors.odd_dims)
    fits = made.rows <= vectors.rows <= GROWS_TO * made.rows
    return same and fits and made.vectors == vectors.identify(made.rows)


def _ranges(folder: Path, rows: int) -> list[Range]:
    """Parts that are there, as far as they follow each other from row 0, and those that the rest of the rows needs."""
    there = {}
    for file in folder.glob("rows-*-*.npy"):
        start, stop = (int(text) for text in file.stem.split("-")[1:])
        there[start] = stop
    found, end = [], 0
    while end < rows:
        stop = there.get(end, 0)
        if not end < stop <= rows:
            stop = min([rows, end + ROWS_PER_PART, *(start for start in there if start > end)])
        found.append((end, stop))
        end = stop
    return found


def _part(folder: Path, start: int, stop: int) -> Path:
    return folder / f"rows-{start:012d}-{stop:012d}.npy"
