"""All pairs above a cosine by overlapping lists: every list compared with itself, in parts on the engine.

A search looks for a vector's partners in the lists nearest to it; here both partners are put into all lists that are
nearly nearest, and a pair is found when they share any. For the same number of products this loses fewer pairs, the
products are symmetric blocks without a heap of k neighbours (so large groups lose nothing), and lists are independent.

Each part publishes its candidates, so that a killed run goes on with the parts that are missing.
Dimensions: N rows, D width, P pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.publish import publish_array, write_array
from curation.engine import Engine
from curation.index.exact_join import CANDIDATE_MARGIN
from curation.index.lists import ListedVectors
from curation.index.mirror_cosine import cosine_block, unit_rows
from curation.index.row_files import mapped

Rows = NDArray[np.floating[Any]]
Codes = NDArray[np.int64]
BLOCK_ROWS, BLOCK_COLUMNS = 512, 4096
PRODUCTS_PER_PART = 300_000_000
"""Pairs of rows that a part compares, about."""


@dataclass(frozen=True)
class ListJoin:
    """A join of rows by lists. `folder`: scratch of this very join. `first`: pairs need a row from here on (0: all)."""

    folder: Path
    vectors_file: str
    odd_dims: int
    min_cosine: float
    first: int = 0


def list_candidates(join: ListJoin, listed: ListedVectors, engine: Engine) -> Codes:
    """Codes a * N + b (a < b) of pairs that may reach the cosine, sorted, each once. Shapes: [P]."""
    join.folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, array in (("order.npy", listed.order), ("starts.npy", listed.starts)):
        write_array(join.folder / name, array)
        files.append(str(join.folder / name))
    parts = [_Part(number, *bounds) for number, bounds in enumerate(_cut(listed.starts))]
    waiting = [part for part in parts if not _file(join.folder, part.number).is_file()]
    for _ in engine.map_parts(partial(make_joiner, join, *files), waiting, label="join"):
        pass
    return _merged([mapped(_file(join.folder, part.number)) for part in parts])


def _merged(sorted_codes: Sequence[Codes]) -> Codes:
    """All codes sorted, each once."""
    found = np.concatenate([np.empty(0, np.int64), *sorted_codes])
    found.sort(kind="stable")  # runs that are sorted already are merged
    return found[np.diff(found, prepend=-1) > 0]


@dataclass(frozen=True)
class _Part:
    number: int
    start: int
    stop: int


def _cut(starts: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Consecutive lists with about as many products per part. They depend on the lists alone, not on workers."""
    sizes = np.diff(starts)
    part = (np.cumsum(sizes * sizes) - sizes * sizes) // 2 // PRODUCTS_PER_PART
    bounds = np.flatnonzero(np.diff(part, prepend=-1, append=-1))
    yield from zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)


def make_joiner(join: ListJoin, order_file: str, starts_file: str) -> Callable[[_Part], int]:
    """Built once per worker: files are mapped here. The worker returns the candidates of its part."""
    vectors, order, starts = mapped(join.vectors_file), mapped(order_file), mapped(starts_file)
    floor = np.float32(join.min_cosine - CANDIDATE_MARGIN)

    def work(part: _Part) -> int:
        found = [np.empty(0, np.int64)]
        for number in range(part.start, part.stop):
            rows = np.asarray(order[starts[number] : starts[number + 1]])
            since = int(np.searchsorted(rows, join.first))
            if since == len(rows):
                continue
            units = unit_rows(vectors[rows])
            found.extend(
                rows[i] * len(vectors) + rows[j] for i, j in _within(units, since, floor, join.odd_dims) if len(i)
            )
        codes = np.unique(np.concatenate(found))
        publish_array(_file(join.folder, part.number), codes)
        return len(codes)

    return work


def _within(units: Rows, since: int, floor: np.float32, odd_dims: int) -> Iterator[tuple[Codes, Codes]]:
    """Places (i < j, j from `since` on) whose cosine reaches the floor, block by block. Shapes: [n, D]."""
    for start in range(since, len(units), BLOCK_ROWS):
        stop = min(len(units), start + BLOCK_ROWS)
        for left in range(0, stop, BLOCK_COLUMNS):
            right = min(stop, left + BLOCK_COLUMNS)
            scores = cosine_block(units[start:stop], units[left:right], odd_dims)
            near = np.flatnonzero(scores >= floor)  # ten times faster than nonzero of two axes
            j, i = near // scores.shape[1] + start, near % scores.shape[1] + left
            earlier = i < j
            yield i[earlier], j[earlier]


def _file(folder: Path, number: int) -> Path:
    return folder / f"pairs-{number:05d}.npy"
