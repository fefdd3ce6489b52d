"""All pairs above a cosine by overlapping lists: every vector in its nearest lists, every list compared with itself.

A search looks for a vector's partners in the lists nearest to it; here both partners are put into all lists that are
nearly nearest, and a pair is found when they share any. For the same number of products this loses fewer pairs, the
products are symmetric blocks without a heap of k neighbours (so large groups lose nothing), and lists are independent.

Dimensions: N rows, D width.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.index.exact_join import Candidates, exact_candidates, exact_cross_candidates
from curation.index.lists import fill_overlapping, gap_for, train_lists

Rows = NDArray[np.floating[Any]]
# No row is in more lists than this many times the mean.
MOST_OVERLAP = 4


def ivf_candidates(
    vectors: Rows, min_cosine: float, lists: int, overlap: float, odd_dims: int = 0
) -> Iterator[Candidates]:
    """Row pairs (i < j) whose cosine may reach `min_cosine`, list by list; once per list that they share."""
    centroids = train_lists(vectors, lists, odd_dims)
    gap = gap_for(vectors, centroids, odd_dims, overlap)
    listed = fill_overlapping(vectors, centroids, odd_dims, gap, _most(overlap, lists))
    for number in range(listed.lists):
        rows = listed.rows(number)
        for i, j in exact_candidates(vectors[rows], min_cosine, odd_dims):
            yield rows[i], rows[j]


def ivf_cross_candidates(
    queries: Rows, base: Rows, min_cosine: float, lists: int, overlap: float, odd_dims: int = 0
) -> Iterator[Candidates]:
    """(query row, base row) pairs whose cosine may reach `min_cosine`, list by list of the base."""
    centroids = train_lists(base, lists, odd_dims)
    gap = gap_for(base, centroids, odd_dims, overlap)
    most = _most(overlap, lists)
    listed = fill_overlapping(base, centroids, odd_dims, gap, most)
    asked = fill_overlapping(queries, centroids, odd_dims, gap, most)
    for number in range(listed.lists):
        query_rows, base_rows = asked.rows(number), listed.rows(number)
        if len(query_rows) and len(base_rows):
            for i, j in exact_cross_candidates(queries[query_rows], base[base_rows], min_cosine, odd_dims):
                yield query_rows[i], base_rows[j]


def _most(overlap: float, lists: int) -> int:
    return min(lists, max(1, round(MOST_OVERLAP * overlap)))
