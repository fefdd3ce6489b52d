"""The k nearest base vectors of every query, with exact cosines.

Dimensions: Q queries, M base rows, D width, K neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.index.kmeans import Nearest, assign
from curation.index.lists import ListedVectors, fill_lists, nearest_lists, train_lists
from curation.index.mirror_cosine import Floats, cosine_block, pair_cosines, unit_rows
from curation.index.plan import IndexPlan

Rows = NDArray[np.floating[Any]]
Neighbors = tuple[NDArray[np.float32], NDArray[np.int64]]
# More candidates than asked: products in float32 may order near ties at the end of the list wrongly.
SPARE = 8
QUERY_ROWS, BASE_ROWS = 1024, 4096


@dataclass(frozen=True)
class SearchBase:
    """What is searched: rows, their lists (None: every row is compared), and how many lists a query looks into."""

    rows: Rows
    odd_dims: int = 0
    listed: ListedVectors | None = None
    probes: int = 0


def make_base(rows: Rows, plan: IndexPlan, odd_dims: int = 0, nearest: Nearest = assign) -> SearchBase:
    """The rows as the plan wants them searched; `nearest` puts them into lists."""
    if plan.kind == "exact":
        return SearchBase(rows, odd_dims)
    listed = fill_lists(rows, train_lists(rows, plan.lists, odd_dims), odd_dims, nearest)
    return SearchBase(rows, odd_dims, listed, plan.probes)


def search(queries: Rows, base: SearchBase, k: int) -> Neighbors:
    """Cosines float32 [Q, K] and base rows int64 [Q, K], best first, the lower row on ties.

    Fewer than k found (a small base): the remaining cosines are -inf and the rows -1.
    """
    units = unit_rows(queries)
    find = _candidates if base.listed is None else _listed_candidates
    rows = find(units, base, k + SPARE)
    cosines, rows = _scored_exactly(queries, base.rows, rows, base.odd_dims)
    return cosines[:, :k], rows[:, :k]


def _scored_exactly(queries: Rows, base: Rows, rows: NDArray[np.int64], odd_dims: int) -> Neighbors:
    """Cosines that do not depend on blocks, and the order that follows from them."""
    asked, place = np.nonzero(rows >= 0)
    cosines = np.full(rows.shape, -np.inf, np.float32)
    cosines[asked, place] = pair_cosines(queries, base, asked, rows[asked, place], odd_dims)
    order = np.lexsort((rows, -cosines), axis=1)
    return np.take_along_axis(cosines, order, axis=1), np.take_along_axis(rows, order, axis=1)


def _empty(rows: int, k: int) -> Neighbors:
    return np.full((rows, k), -np.inf, np.float32), np.full((rows, k), -1, np.int64)


def _merge(best: Neighbors, scores: Floats, rows: NDArray[np.int64]) -> Neighbors:
    """Best k of what is known and a new block of scores. Shapes: [Q, K] twice, [Q, B], [B]."""
    k = best[0].shape[1]
    if scores.shape[1] > k:
        part = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        new_scores, new_rows = np.take_along_axis(scores, part, axis=1), rows[part]
    else:
        new_scores, new_rows = scores, np.broadcast_to(rows, scores.shape)
    all_scores = np.concatenate([best[0], new_scores], axis=1)
    all_rows = np.concatenate([best[1], new_rows], axis=1)
    order = np.lexsort((all_rows, -all_scores), axis=1)[:, :k]
    return np.take_along_axis(all_scores, order, axis=1), np.take_along_axis(all_rows, order, axis=1)


def _candidates(queries: Floats, base: SearchBase, k: int) -> NDArray[np.int64]:
    """The k nearest of all rows, by products in float32. Shapes: [Q, D] -> [Q, K]."""
    best = _empty(len(queries), k)
    for first in range(0, len(base.rows), BASE_ROWS):
        block = unit_rows(base.rows[first : first + BASE_ROWS])
        numbers = np.arange(first, first + len(block), dtype=np.int64)
        _compare(queries, np.arange(len(queries)), block, numbers, best, base.odd_dims)
    return best[1]


def _listed_candidates(queries: Floats, base: SearchBase, k: int) -> NDArray[np.int64]:
    """The k nearest of the probed lists; every list is visited once with the queries that probe it."""
    assert base.listed is not None
    listed, best = base.listed, _empty(len(queries), k)
    probed = nearest_lists(queries, listed.centroids, base.probes, base.odd_dims)
    for lists in (probed[:, :1], probed[:, 1:]):  # the nearest first: then most of what the others hold is too far
        order = np.argsort(lists.ravel(), kind="stable")
        asked_query = np.repeat(np.arange(len(queries)), lists.shape[1])[order]
        bounds = np.searchsorted(lists.ravel()[order], np.arange(listed.lists + 1))
        for number in np.flatnonzero(np.diff(bounds)).tolist():
            who, rows = asked_query[bounds[number] : bounds[number + 1]], np.asarray(listed.rows(number))
            for first in range(0, len(rows), BASE_ROWS):
                part = rows[first : first + BASE_ROWS]
                _compare(queries, who, unit_rows(base.rows[part]), part, best, base.odd_dims)
    return best[1]


def _compare(
    queries: Floats, who: NDArray[np.int64], block: Floats, numbers: NDArray[np.int64], best: Neighbors, odd_dims: int
) -> None:
    """Merge a block of rows into the best of the queries `who`, in place."""
    for start in range(0, len(who), QUERY_ROWS):
        some = who[start : start + QUERY_ROWS]
        scores = cosine_block(queries[some], block, odd_dims)
        better = scores.max(axis=1) >= best[0][some, -1]  # few of the queries, once they have seen some lists
        some, scores = some[better], scores[better]
        best[0][some], best[1][some] = _merge((best[0][some], best[1][some]), scores, numbers)
