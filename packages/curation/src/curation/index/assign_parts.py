"""Nearest centroids of many rows: parts on the engine, with the same result as in one piece.

Dimensions: N rows, D width, K centroids.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.engine import Engine
from curation.index.kmeans import Assignment, assign
from curation.index.mirror_cosine import Floats
from curation.index.row_files import as_file, mapped, row_ranges

Rows = NDArray[np.floating[Any]]
Range = tuple[int, int]
ROWS_PER_PART = 32_768


class PartAssigner:
    """Assigns rows to centroids on an engine; what workers map lies in `scratch`.

    Rows of one part are assigned here, so that a small pool does not wait for workers to start.
    """

    def __init__(self, engine: Engine, scratch: Path, rows_per_part: int | None = None) -> None:
        self._engine, self._scratch, self._rows_per_part = engine, scratch, rows_per_part or ROWS_PER_PART

    def __call__(self, vectors: Rows, centroids: Floats, odd_dims: int = 0) -> Assignment:
        """See curation.index.kmeans.assign. Shapes: [N, D], [K, D]."""
        parts = row_ranges(len(vectors), self._rows_per_part)
        if len(parts) <= 1:
            return assign(vectors, centroids, odd_dims)
        rows_file = as_file(vectors, self._scratch / "assigned-rows.npy")
        centroids_file = as_file(centroids, self._scratch / "centroids.npy")
        cluster, cosine = np.empty(len(vectors), np.int32), np.empty(len(vectors), np.float32)
        make = partial(make_worker, rows_file, centroids_file, odd_dims)
        for position, found in self._engine.map_parts(make, parts, label="assign"):
            start, stop = parts[position]
            cluster[start:stop], cosine[start:stop] = found.cluster, found.cosine
        return Assignment(cluster, cosine)


def make_worker(rows_file: str, centroids_file: str, odd_dims: int) -> Callable[[Range], Assignment]:
    """Built once per worker: the files are mapped here."""
    vectors, centroids = mapped(rows_file), mapped(centroids_file)

    def work(part: Range) -> Assignment:
        return assign(vectors[part[0] : part[1]], centroids, odd_dims)

    return work
