"""Sample-based retrieval: N pool images for every query, and what happens when queries want the same one.

Dimensions: Q queries, P pool images, N images per query, K neighbours looked at, R results.

Source: DINOv2 (arXiv 2304.07193), section 3: N nearest neighbours of each query; a larger N gives more collisions.
The paper's counts are exactly N times Q and it does not say how collisions are treated, so all three ways are here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from curation.retrieve.contested import Acceptance

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
Find = Callable[[Ints, int], tuple[Floats, Ints]]
"""(query rows [q], K) -> cosines [q, K], pool rows [q, K], best first; -1 where the pool has no more."""


@dataclass(frozen=True)
class Nearest:
    """Retrieved images. Shapes: query, row, rank int64 [R]; cosine float32 [R].

    `rank`: place of the image among the query's neighbours, 0 for the nearest. `collision_rate`: share of the N nearest
    of all queries that another query has too. `short_queries`: queries that got fewer than N images.
    """

    query: Ints
    row: Ints
    cosine: Floats
    rank: Ints
    collision_rate: float
    short_queries: int


def nearest_per_query(
    find: Find,
    queries: int,
    pool_images: int,
    per_query: int,
    collisions: Literal["keep", "replace", "drop"],
    replace_depth: int = 16,
) -> Nearest:
    """N pool images for every query. The result does not depend on the order in which queries are looked at.

    keep: a row per query, an image may have several. drop: the query with the highest cosine has it, the others get
    fewer. replace: the same, and the others go on to their next nearest, down to `replace_depth * per_query` places.
    """
    limit = min(pool_images, per_query * replace_depth) if collisions == "replace" else min(pool_images, per_query)
    depth = min(limit, 2 * per_query)
    everyone = np.arange(queries, dtype=np.int64)
    cosines, rows = find(everyone, depth)
    first = rows[:, :per_query]
    asked = int((first >= 0).sum())
    rate = 1 - len(np.unique(first[first >= 0])) / asked if asked else 0.0
    if collisions == "keep":
        query, rank = np.nonzero(first >= 0)
        short = int(((first >= 0).sum(axis=1) < per_query).sum())
        return Nearest(query, first[query, rank], cosines[query, rank], rank, rate, short)
    market = Acceptance(queries, pool_images, per_query)
    market.settle(cosines[:, :limit], rows[:, :limit], everyone)
    while collisions == "replace" and depth < limit and len(needy := market.short()):
        depth = min(limit, 2 * depth)
        market.settle(*find(needy, depth), needy)
        # A deeper list of one query may take an image from another, whose own list was long enough until then.
        while len(again := market.short_below(depth)):
            market.settle(*find(again, depth), again)
    query, row, cosine, rank = market.result()
    return Nearest(query, row, cosine, rank, rate, len(market.short()))
