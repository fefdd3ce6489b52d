"""Pruning of what is semantically the same: within each cluster, an image goes when an earlier one is too near.

Source: SemDeDup (arXiv 2303.09540), section 3: k-means, in each cluster an order by distance to the centroid, and item
j is removed when the highest cosine to an earlier item exceeds 1 - epsilon. Rule `all-earlier` is the paper's: removed
items count too, so a chain of near neighbours falls to its first. Rule `kept-earlier` compares with kept items only.

Dimensions: N images, D width.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from curation.index.kmeans import Assignment
from curation.index.mirror_cosine import Floats, unit_rows

BLOCK_ROWS = 1024


def prune_clusters(
    vectors: NDArray[np.floating[Any]],
    found: Assignment,
    max_cosine: float,
    rule: Literal["all-earlier", "kept-earlier"] = "all-earlier",
    first: Literal["hard", "easy"] = "hard",
) -> NDArray[np.bool_]:
    """Which images stay. `first`: hard keeps what is far from the centroid, easy what is near. Shapes: bool [N]."""
    kept = np.ones(len(vectors), np.bool_)
    sign = 1 if first == "hard" else -1
    order = np.lexsort((np.arange(len(vectors)), sign * found.cosine, found.cluster))
    bounds = np.flatnonzero(np.diff(found.cluster[order], prepend=-1, append=-2))
    for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        rows = order[start:stop]
        kept[rows] = _kept_in_order(unit_rows(vectors[rows]), np.float32(max_cosine), rule)
    return kept


def _kept_in_order(block: Floats, limit: np.float32, rule: str) -> NDArray[np.bool_]:
    """Shapes: [n, D] in the order of keeping -> bool [n]."""
    kept = np.ones(len(block), np.bool_)
    for start in range(0, len(block), BLOCK_ROWS):
        near = block[start : start + BLOCK_ROWS] @ block[: start + BLOCK_ROWS].T > limit
        for offset in range(len(near)):
            row = start + offset
            earlier = near[offset, :row]
            kept[row] = not (earlier & kept[:row]).any() if rule == "kept-earlier" else not earlier.any()
    return kept
