"""All pairs above a cosine by blocked products: every vector against every later one.

Dimensions: N rows, D width, P pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.index.mirror_cosine import cosine_block, unit_rows

# Products in float32 are off by up to about 1e-6 and float16 rows by 1e-4 of length: candidates are taken a
# little below the threshold and scored exactly afterwards.
CANDIDATE_MARGIN = 2e-4
BLOCK_ROWS = 2048

Candidates = tuple[NDArray[np.int64], NDArray[np.int64]]


def exact_candidates(
    vectors: NDArray[np.floating[Any]],
    min_cosine: float,
    odd_dims: int = 0,
    block_rows: int = BLOCK_ROWS,
    first: int = 0,
) -> Iterator[Candidates]:
    """Row pairs (i < j, j from `first` on) whose cosine may reach `min_cosine`, block by block."""
    floor = np.float32(min_cosine - CANDIDATE_MARGIN)
    for start in range(first, len(vectors), block_rows):
        later = unit_rows(vectors[start : start + block_rows])
        end = start + len(later)
        for other in range(0, end, block_rows):
            earlier = later if other == start else unit_rows(vectors[other : min(other + block_rows, end)])
            near = np.flatnonzero(cosine_block(later, earlier, odd_dims) >= floor)
            j, i = near // len(earlier) + start, near % len(earlier) + other
            pair = i < j
            if pair.any():
                yield i[pair], j[pair]


def exact_cross_candidates(
    queries: NDArray[np.floating[Any]],
    base: NDArray[np.floating[Any]],
    min_cosine: float,
    odd_dims: int = 0,
    block_rows: int = BLOCK_ROWS,
) -> Iterator[Candidates]:
    """(query row, base row) pairs whose cosine may reach `min_cosine`, block by block."""
    floor = np.float32(min_cosine - CANDIDATE_MARGIN)
    for other in range(0, len(base), block_rows):
        base_block = unit_rows(base[other : other + block_rows])
        for start in range(0, len(queries), block_rows):
            query_block = unit_rows(queries[start : start + block_rows])
            i, j = np.nonzero(cosine_block(query_block, base_block, odd_dims) >= floor)
            if len(i):
                yield i + start, j + other
