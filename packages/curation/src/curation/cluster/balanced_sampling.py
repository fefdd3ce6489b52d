"""Balanced sampling over a hierarchy: every cluster of a level gives the same number of images where it can.

Source: Vo et al. 2024 (arXiv 2405.15613), section 3.3: from the coarsest level down, each cluster's quota is divided
among its children; at the finest level images are drawn at random or closest first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from curation.cluster.hierarchy import Level, leaf_clusters

Ints = NDArray[np.int64]


def quotas(sizes: Ints, target: int, rng: np.random.Generator) -> Ints:
    """How many each cluster gives: min(x, size) for the largest x that does not exceed the target in all, and the rest
    one by one from random clusters that have more. Shapes: [K] -> [K]. The sum is min(target, sizes.sum()).
    """
    target = min(target, int(sizes.sum()))
    low, high = 0, int(sizes.max(initial=0))
    while low < high:
        middle = (low + high + 1) // 2
        if int(np.minimum(sizes, middle).sum()) <= target:
            low = middle
        else:
            high = middle - 1
    given = np.minimum(sizes, low)
    more = np.flatnonzero(sizes > low)
    rest = target - int(given.sum())
    given[rng.choice(more, size=rest, replace=False)] += 1
    return given


def sample_balanced(
    levels: Sequence[Level], target: int, seed: int, draw: Literal["random", "closest"] = "random"
) -> Ints:
    """Image rows of a balanced sample, ascending. Its size is min(target, images)."""
    rng = np.random.default_rng(seed)
    chains = leaf_clusters(levels)
    counts = [np.bincount(chain, minlength=len(level.centroids)) for chain, level in zip(chains, levels, strict=True)]
    given = quotas(counts[-1].astype(np.int64), target, rng)
    for depth in range(len(levels) - 1, 0, -1):
        given = _divide(given, levels[depth].parent, counts[depth - 1].astype(np.int64), rng)
    return _draw(given, levels[0], draw, rng)


def _divide(given: Ints, parent: NDArray[np.int32], sizes: Ints, rng: np.random.Generator) -> Ints:
    """Quota of every child from the quotas of its parents. Shapes: [K parents], [K children], [K children]."""
    out = np.zeros(len(parent), np.int64)
    order = np.argsort(parent, kind="stable")
    bounds = np.searchsorted(parent[order], np.arange(len(given) + 1))
    for number in np.flatnonzero(given).tolist():
        children = order[bounds[number] : bounds[number + 1]]
        out[children] = quotas(sizes[children], int(given[number]), rng)
    return out


def _draw(given: Ints, finest: Level, draw: str, rng: np.random.Generator) -> Ints:
    """The drawn rows: within each cluster the first of a random order, or of the order of distance."""
    rows = np.arange(len(finest.parent))
    by = rng.permutation(len(rows)) if draw == "random" else -finest.cosine
    order = np.lexsort((rows, by, finest.parent))
    starts = np.searchsorted(finest.parent[order], np.arange(len(given)))
    place = rows - starts[finest.parent[order]]
    return np.sort(order[place < given[finest.parent[order]]])
