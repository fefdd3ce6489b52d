"""Threshold joins and searches over unit vectors: candidates by the planned index, cosines computed exactly.

Dimensions: N rows, M base rows, D width, P pairs, K neighbours.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.engine import Engine
from curation.engine.local import LocalEngine
from curation.index.exact_join import Candidates, exact_candidates, exact_cross_candidates
from curation.index.ivf_join import ivf_cross_candidates
from curation.index.list_join import ListJoin, list_candidates
from curation.index.mirror_cosine import pair_cosines
from curation.index.overlap_index import IndexedVectors, prepare_index, read_index
from curation.index.plan import IndexPlan
from curation.index.row_files import as_file

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


@dataclass(frozen=True)
class JoinPlace:
    """Where a join by lists keeps its work, and what runs it.

    `index`: folder of the lists, kept for later joins. `scratch`: folder of this very join, kept until it is done.
    `identify(n)`: a name of the first n rows. `first`: pairs need a row from here on; the others are known already.
    """

    index: Path
    scratch: Path
    engine: Engine
    identify: Callable[[int], str]
    first: int = 0


def self_join(
    vectors: Rows,
    min_cosine: float,
    plan: IndexPlan,
    neighbors: int | None = None,
    odd_dims: int = 0,
    place: JoinPlace | None = None,
) -> Pairs:
    """Pairs of rows (a < b) with cosine above `min_cosine`.

    `neighbors`: keep a pair only if one row is among the k nearest of the other (the paper's k-NN graph); None keeps
    every pair, also in groups larger than k. Without a `place` the work is done here and kept nowhere.
    """
    if plan.kind == "exact":
        found = exact_candidates(vectors, min_cosine, odd_dims, first=place.first if place else 0)
        pairs = _scored(found, vectors, vectors, min_cosine, odd_dims)
    elif place is None:
        with tempfile.TemporaryDirectory() as folder:
            here = JoinPlace(Path(folder) / "index", Path(folder) / "join", LocalEngine(), str)
            pairs = _by_lists(vectors, min_cosine, plan, odd_dims, here)
    else:
        pairs = _by_lists(vectors, min_cosine, plan, odd_dims, place)
    return pairs if neighbors is None else nearest_neighbors_only(pairs, len(vectors), neighbors)


def _by_lists(vectors: Rows, min_cosine: float, plan: IndexPlan, odd_dims: int, place: JoinPlace) -> Pairs:
    place.scratch.mkdir(parents=True, exist_ok=True)
    file = as_file(vectors, place.scratch / "vectors.npy")
    made = prepare_index(
        place.index, IndexedVectors(lambda: file, len(vectors), odd_dims, place.identify), plan, place.engine
    )
    # What a killed join left is of use only if the lists are still those that it went by.
    lists = hashlib.sha256(str(made).encode()).hexdigest()[:16]
    join = ListJoin(place.scratch / lists, file, odd_dims, min_cosine, place.first)
    codes = list_candidates(join, read_index(place.index, len(vectors), made.lists), place.engine)
    return _scored_codes(codes, vectors, vectors, min_cosine, odd_dims)


def cross_join(
    queries: Rows, base: Rows, min_cosine: float, plan: IndexPlan, odd_dims: int = 0, place: JoinPlace | None = None
) -> Pairs:
    """Pairs (query row, base row) with cosine above `min_cosine`. `plan` and `place` are those of the base."""
    if plan.kind == "exact":
        found = exact_cross_candidates(queries, base, min_cosine, odd_dims)
        return _scored(found, queries, base, min_cosine, odd_dims)
    with tempfile.TemporaryDirectory() as folder:
        here = place or JoinPlace(Path(folder) / "index", Path(folder), LocalEngine(), str)
        here.scratch.mkdir(parents=True, exist_ok=True)
        file = partial(as_file, base, here.scratch / "vectors.npy")
        made = prepare_index(here.index, IndexedVectors(file, len(base), odd_dims, here.identify), plan, here.engine)
        found = ivf_cross_candidates(queries, base, min_cosine, read_index(here.index, len(base), made.lists), made)
        return _scored(found, queries, base, min_cosine, odd_dims)


def _scored(candidates: Iterable[Candidates], left: Rows, right: Rows, min_cosine: float, odd_dims: int) -> Pairs:
    """Each candidate once, with its exact cosine, if that is above the threshold. 8 bytes per candidate."""
    width = max(1, len(right))
    codes = [a * width + b for a, b in candidates]
    code = np.unique(np.concatenate(codes)) if codes else np.empty(0, np.int64)
    return _scored_codes(code, left, right, min_cosine, odd_dims)


def _scored_codes(codes: NDArray[np.int64], left: Rows, right: Rows, min_cosine: float, odd_dims: int) -> Pairs:
    a, b = codes // max(1, len(right)), codes % max(1, len(right))
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
