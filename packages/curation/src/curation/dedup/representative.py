"""Which image of a group is kept: one that no filter drops, then most pixels, then most bytes, then the smallest key.

The rule is total (keys are unique), so the choice does not depend on the order of rows or workers.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

RULE = "one that no filter drops, then most pixels, then most bytes, then the smallest key"

Ints = NDArray[np.int64]


def key_order(keys: pa.Array) -> Ints:
    """Place of every key among the keys sorted. Shapes: [N] -> [N], a permutation."""
    place = np.empty(len(keys), np.int64)
    place[pc.sort_indices(keys).to_numpy()] = np.arange(len(keys))
    return place


def keeping_order(width_px: Ints, height_px: Ints, byte_count: Ints, by_key: Ints, filtered: NDArray[np.bool_]) -> Ints:
    """Place of every image in the order of keeping, 0 first. Shapes: [N] each -> [N], a permutation."""
    order = np.lexsort((by_key, -byte_count, -(width_px * height_px), filtered))
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return place


def representatives(labels: Ints, priority: Ints, eligible: NDArray[np.bool_]) -> Ints:
    """Row of the kept image of every image's group; -1 where no member is eligible. Shapes: [N] each -> [N]."""
    best = np.full(len(labels), len(labels), np.int64)
    np.minimum.at(best, labels[eligible], priority[eligible])
    row_of_place = np.empty(len(labels) + 1, np.int64)
    row_of_place[priority] = np.arange(len(labels))
    row_of_place[len(labels)] = -1
    return row_of_place[best[labels]]
