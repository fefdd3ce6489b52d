"""All pairs above a cosine, list against its nearest lists: block products instead of a search per vector.

No heap of k neighbours is kept, so large groups of copies lose no pairs. What is lost are pairs whose two lists are
not among each other's nearest.

Dimensions: N rows, D width.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.index.exact_join import CANDIDATE_MARGIN, Candidates
from curation.index.lists import ListedVectors, fill_lists, list_pairs, nearest_lists, train_lists
from curation.index.mirror_cosine import cosine_block, unit_rows

Rows = NDArray[np.floating[Any]]


def ivf_candidates(
    vectors: Rows, min_cosine: float, lists: int, probes: int, odd_dims: int = 0, seed: int = 0
) -> Iterator[Candidates]:
    """Row pairs (i < j) whose cosine may reach `min_cosine`, one list with its partners at a time."""
    listed = fill_lists(vectors, train_lists(vectors, lists, odd_dims, seed), odd_dims)
    pairs = list_pairs(listed.centroids, probes, odd_dims)
    bounds = np.searchsorted(pairs[:, 0], np.arange(listed.lists + 1))
    for left in range(listed.lists):
        partners = pairs[bounds[left] : bounds[left + 1], 1]
        yield from _one_list(vectors, listed, left, partners, min_cosine, odd_dims)


def _one_list(
    vectors: Rows,
    listed: ListedVectors,
    left: int,
    partners: NDArray[np.int64],
    min_cosine: float,
    odd_dims: int,
) -> Iterator[Candidates]:
    left_rows = listed.rows(left)
    if len(left_rows) == 0:
        return
    floor = np.float32(min_cosine - CANDIDATE_MARGIN)
    queries = unit_rows(vectors[left_rows])
    for right in partners.tolist():
        right_rows = listed.rows(right)
        base = queries if right == left else unit_rows(vectors[right_rows])
        i, j = np.nonzero(cosine_block(queries, base, odd_dims) >= floor)
        a, b = left_rows[i], right_rows[j]
        if right == left:
            a, b = a[i < j], b[i < j]
        if len(a):
            yield np.minimum(a, b), np.maximum(a, b)


def ivf_cross_candidates(
    queries: Rows, base: Rows, min_cosine: float, lists: int, probes: int, odd_dims: int = 0, seed: int = 0
) -> Iterator[Candidates]:
    """(query row, base row) pairs whose cosine may reach `min_cosine`; queries are grouped by their nearest list."""
    floor = np.float32(min_cosine - CANDIDATE_MARGIN)
    listed = fill_lists(base, train_lists(base, lists, odd_dims, seed), odd_dims)
    asked = fill_lists(queries, listed.centroids, odd_dims)
    near = nearest_lists(listed.centroids, listed.centroids, probes, odd_dims)
    for number in range(listed.lists):
        query_rows = asked.rows(number)
        if len(query_rows) == 0:
            continue
        block = unit_rows(queries[query_rows])
        for other in np.union1d(near[number], [number]).tolist():
            base_rows = listed.rows(other)
            i, j = np.nonzero(cosine_block(block, unit_rows(base[base_rows]), odd_dims) >= floor)
            if len(i):
                yield query_rows[i], base_rows[j]
