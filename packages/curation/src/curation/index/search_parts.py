"""The nearest base rows of many queries: parts of the queries on the engine, lists made once for all of them.

Dimensions: Q queries, M base rows, D width, K neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.engine import Engine
from curation.index.assign_parts import PartAssigner
from curation.index.lists import ListedVectors
from curation.index.plan import IndexPlan
from curation.index.row_files import as_file, mapped, row_ranges
from curation.index.search import Neighbors, SearchBase, make_base, search

Rows = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]
QUERIES_PER_PART = 8192


@dataclass(frozen=True)
class SearchFiles:
    """A base on disk. `lists`: files of centroids, order and starts; none when every row is compared."""

    rows: str
    lists: tuple[str, ...]
    odd_dims: int
    probes: int

    def open(self) -> SearchBase:
        """The base, mapped."""
        listed = ListedVectors(*(mapped(file) for file in self.lists)) if self.lists else None
        return SearchBase(mapped(self.rows), self.odd_dims, listed, self.probes)


class PartSearch:
    """Searches one base on an engine; what workers map lies in `scratch`.

    Queries of one part are answered here, so that a small seed set does not wait for workers to start.
    """

    def __init__(self, base: Rows, plan: IndexPlan, odd_dims: int, engine: Engine, scratch: Path) -> None:
        self._engine, self._scratch = engine, scratch
        found = make_base(base, plan, odd_dims, PartAssigner(engine, scratch))
        lists: tuple[str, ...] = ()
        if found.listed is not None:
            arrays: dict[str, Rows | Ints] = {
                "centroids": found.listed.centroids,
                "order": found.listed.order,
                "starts": found.listed.starts,
            }
            lists = tuple(as_file(array, scratch / f"lists-{name}.npy") for name, array in arrays.items())
        self._files = SearchFiles(as_file(base, scratch / "base-rows.npy"), lists, odd_dims, plan.probes)

    def find(self, queries: Rows, chosen: Ints, k: int, queries_per_part: int | None = None) -> Neighbors:
        """Neighbours of some rows of the queries: see curation.index.search.search. Shapes: chosen [q] -> [q, K]."""
        ranges = row_ranges(len(chosen), queries_per_part or QUERIES_PER_PART)
        if len(ranges) <= 1:
            return search(queries[chosen], self._files.open(), k)
        file = as_file(queries, self._scratch / "query-rows.npy")
        parts = [chosen[start:stop] for start, stop in ranges]
        cosines, rows = np.empty((len(chosen), k), np.float32), np.empty((len(chosen), k), np.int64)
        for position, found in self._engine.map_parts(
            partial(make_worker, self._files, file, k), parts, label="search"
        ):
            start, stop = ranges[position]
            cosines[start:stop], rows[start:stop] = found
        return cosines, rows


def make_worker(files: SearchFiles, queries_file: str, k: int) -> Callable[[Ints], Neighbors]:
    """Built once per worker: the files are mapped here."""
    base, queries = files.open(), mapped(queries_file)

    def work(chosen: Ints) -> Neighbors:
        return search(queries[chosen], base, k)

    return work
