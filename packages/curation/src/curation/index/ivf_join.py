"""Pairs of queries with base rows above a cosine, by the overlapping lists of the base (see index.list_join).

Dimensions: N base rows, Q queries, D width.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.index.exact_join import Candidates, exact_cross_candidates
from curation.index.lists import ListedVectors, fill_overlapping
from curation.index.overlap_index import IndexedRows, most_lists

Rows = NDArray[np.floating[Any]]


def ivf_cross_candidates(
    queries: Rows, base: Rows, min_cosine: float, listed: ListedVectors, made: IndexedRows
) -> Iterator[Candidates]:
    """(query row, base row) pairs whose cosine may reach `min_cosine`, list by list of the base."""
    asked = fill_overlapping(queries, listed.centroids, made.odd_dims, made.gap, most_lists(made))
    for number in range(listed.lists):
        query_rows, base_rows = asked.rows(number), listed.rows(number)
        if len(query_rows) and len(base_rows):
            for i, j in exact_cross_candidates(queries[query_rows], base[base_rows], min_cosine, made.odd_dims):
                yield query_rows[i], base_rows[j]
