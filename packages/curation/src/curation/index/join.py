"""Threshold joins and searches over unit vectors: candidates by the planned index, cosines computed exactly.

Dimensions: N rows, M base rows, D width, P pairs, K neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.index.exact_join import Candidates, exact_candidates, exact_cross_candidates
from curation.index.ivf_join import ivf_candidates, ivf_cross_candidates
from curation.index.mirror_cosine import pair_cosines
from curation.index.plan import IndexPlan

Rows = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Pairs:
    """Pairs of rows with their cosine, sorted by (a, b), each once. Shapes: int64 [P], int64 [P], float32 [P]."""

    a: NDArray[np.int64]
    b: NDArray[np.int64]
    cosine: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.a)

    def above(self, min_cosine: float) -> Pairs:
        """The pairs whose cosine exceeds a threshold."""
        keep = self.cosine > np.float32(min_cosine)
        return Pairs(self.a[keep], self.b[keep], self.cosine[keep])


def self_join(
    vectors: Rows, min_cosine: float, plan: IndexPlan, neighbors: int | None = None, odd_dims: int = 0
) -> Pairs:
    """Pairs of rows (a < b) with cosine above `min_cosine`.

    `neighbors`: keep a pair only if one row is among the k nearest of the other (the paper's k-NN graph); None keeps
    every pair, also in groups larger than k.
    """
    if plan.kind == "exact":
        found = exact_candidates(vectors, min_cosine, odd_dims)
    else:
        found = ivf_candidates(vectors, min_cosine, plan.lists, plan.overlap, odd_dims)
    pairs = _scored(found, vectors, vectors, min_cosine, odd_dims)
    return pairs if neighbors is None else nearest_neighbors_only(pairs, len(vectors), neighbors)


def cross_join(queries: Rows, base: Rows, min_cosine: float, plan: IndexPlan, odd_dims: int = 0) -> Pairs:
    """Pairs (query row, base row) with cosine above `min_cosine`. `plan` is made for the base."""
    if plan.kind == "exact":
        found = exact_cross_candidates(queries, base, min_cosine, odd_dims)
    else:
        found = ivf_cross_candidates(queries, base, min_cosine, plan.lists, plan.overlap, odd_dims)
    return _scored(found, queries, base, min_cosine, odd_dims)


def _scored(candidates: Iterable[Candidates], left: Rows, right: Rows, min_cosine: float, odd_dims: int) -> Pairs:
    """Each candidate once, with its exact cosine, if that is above the threshold. 8 bytes per candidate."""
    width = max(1, len(right))
    codes = [a * width + b for a, b in candidates]
    code = np.unique(np.concatenate(codes)) if codes else np.empty(0, np.int64)
    a, b = code // width, code % width
    cosine = pair_cosines(left, right, a, b, odd_dims)
    keep = cosine > np.float32(min_cosine)
    return Pairs(a[keep], b[keep], cosine[keep])


def nearest_neighbors_only(pairs: Pairs, rows: int, neighbors: int, mutual: bool = False) -> Pairs:
    """Pairs in which one row (mutual: each row) is among the k nearest of the other; ties go to the lower row."""
    forward = _ranks(pairs.a, pairs.b, pairs.cosine, rows) < neighbors
    backward = _ranks(pairs.b, pairs.a, pairs.cosine, rows) < neighbors
    keep = forward & backward if mutual else forward | backward
    return Pairs(pairs.a[keep], pairs.b[keep], pairs.cosine[keep])


def _ranks(
    owner: NDArray[np.int64], other: NDArray[np.int64], cosine: NDArray[np.float32], rows: int
) -> NDArray[np.int64]:
    """Rank of every pair among all pairs that its owner is part of, from either side. Shapes: [P] -> [P]."""
    both_owner = np.concatenate([owner, other])
    both_other = np.concatenate([other, owner])
    order = np.lexsort((both_other, -np.concatenate([cosine, cosine]), both_owner))
    sorted_owner = both_owner[order]
    first = np.searchsorted(sorted_owner, np.arange(rows))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order)) - first[sorted_owner]
    return rank[: len(owner)]
