"""The k nearest base vectors of every query, with exact cosines.

Dimensions: Q queries, M base rows, D width, K neighbours.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.index.lists import ListedVectors, fill_lists, nearest_lists, train_lists
from curation.index.mirror_cosine import Floats, cosine_block, pair_cosines, unit_rows
from curation.index.plan import IndexPlan

Rows = NDArray[np.floating[Any]]
Neighbors = tuple[NDArray[np.float32], NDArray[np.int64]]


def search(queries: Rows, base: Rows, k: int, plan: IndexPlan, odd_dims: int = 0) -> Neighbors:
    """Cosines float32 [Q, K] and base rows int64 [Q, K], best first, the lower row on ties.

    Fewer than k found (a small base): the remaining cosines are -inf and the rows -1.
    """
    if plan.kind == "exact":
        _, rows = _search_exact(queries, base, k, odd_dims)
    else:
        _, rows = _search_lists(queries, base, k, plan, odd_dims)
    return _scored_exactly(queries, base, rows, odd_dims)


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


def _search_exact(queries: Rows, base: Rows, k: int, odd_dims: int, block_rows: int = 4096) -> Neighbors:
    cosines, rows = _empty(len(queries), k)
    for start in range(0, len(queries), 1024):
        block = unit_rows(queries[start : start + 1024])
        best = _empty(len(block), k)
        for first in range(0, len(base), block_rows):
            scores = cosine_block(block, unit_rows(base[first : first + block_rows]), odd_dims)
            best = _merge(best, scores, np.arange(first, first + scores.shape[1], dtype=np.int64))
        cosines[start : start + len(block)], rows[start : start + len(block)] = best
    return cosines, rows


def _search_lists(queries: Rows, base: Rows, k: int, plan: IndexPlan, odd_dims: int) -> Neighbors:
    listed = fill_lists(base, train_lists(base, plan.lists, odd_dims), odd_dims)
    cosines, rows = _empty(len(queries), k)
    for start in range(0, len(queries), 65_536):
        block = unit_rows(queries[start : start + 65_536])
        probed = nearest_lists(block, listed.centroids, plan.probes, odd_dims)
        cosines[start : start + len(block)], rows[start : start + len(block)] = _probe(
            block, base, listed, probed, k, odd_dims
        )
    return cosines, rows


def _probe(
    block: Floats, base: Rows, listed: ListedVectors, probed: NDArray[np.int64], k: int, odd_dims: int
) -> Neighbors:
    """Visit every list once with the queries that probe it."""
    best_scores, best_rows = _empty(len(block), k)
    asked_list = probed.ravel()
    asked_query = np.repeat(np.arange(len(block)), probed.shape[1])
    order = np.argsort(asked_list, kind="stable")
    bounds = np.searchsorted(asked_list[order], np.arange(listed.lists + 1))
    for number in range(listed.lists):
        who = asked_query[order[bounds[number] : bounds[number + 1]]]
        rows = listed.rows(number)
        if len(who) == 0 or len(rows) == 0:
            continue
        scores = cosine_block(block[who], unit_rows(base[rows]), odd_dims)
        best_scores[who], best_rows[who] = _merge((best_scores[who], best_rows[who]), scores, rows)
    return best_scores, best_rows
