"""Keys of all images as one sorted numpy array: 24 bytes an image, found by bisection.

Dimensions: N images, Q asked keys.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.keys import KEY_LENGTH, is_key

Keys = NDArray[np.bytes_]
Rows = NDArray[np.int64]


def key_array(keys: pa.Array | pa.ChunkedArray) -> Keys:
    """Keys as fixed bytes, in the order given. Shapes: [N] -> S24 [N]."""
    whole = keys.combine_chunks() if isinstance(keys, pa.ChunkedArray) else keys
    fixed = whole.cast(pa.string()).cast(pa.binary()).cast(pa.binary(KEY_LENGTH))
    found: Keys = np.frombuffer(fixed.buffers()[1], f"S{KEY_LENGTH}", count=len(fixed), offset=fixed.offset)
    return found


def rows_of(asked: Keys, keys: Keys) -> Rows:
    """Place of each asked key among the sorted keys, -1 where it is unknown. Shapes: S24 [Q], S24 [N] -> [Q]."""
    if not len(keys) or not len(asked):
        return np.full(len(asked), -1, np.int64)
    place = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return np.where(keys[place] == asked, place, -1).astype(np.int64)


def row_of(key: str, keys: Keys) -> int:
    """Place of one key, -1 where it is unknown."""
    return int(rows_of(np.array([key], f"S{KEY_LENGTH}"), keys)[0]) if is_key(key) else -1


def rows_with_prefix(prefix: str, keys: Keys) -> Rows:
    """Rows of the keys that begin so. Shapes: -> [Q], ascending."""
    low, high = np.searchsorted(keys, np.array([prefix, prefix + "~"], f"S{KEY_LENGTH}"))
    return np.arange(low, high, dtype=np.int64)


def texts(keys: Keys, rows: Rows | Sequence[int]) -> list[str]:
    """Keys of some rows as text."""
    return [key.decode() for key in keys[np.asarray(rows, np.int64)].tolist()]
