"""Large arrays that are handed out again once nobody holds them.

The system clears fresh memory page by page when it is first touched; for a batch of crops that costs more than making
its values.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

KEPT_AT_MOST = 8


class KeptMemory:
    """Arrays of any shape; their contents are undefined. One of these belongs to one thread."""

    def __init__(self) -> None:
        self._arrays: list[NDArray[Any]] = []

    def array(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """An array that nobody else holds: a kept one whose last user (a tensor made of it, a view) is gone, or new."""
        for place in range(len(self._arrays)):
            kept = self._arrays[place]
            fits = kept.shape == shape and kept.dtype == dtype
            del kept
            if fits and _holders(self._arrays, place) == _ALONE:
                return self._arrays[place]
        fresh: NDArray[Any] = np.empty(shape, dtype=dtype)
        if len(self._arrays) < KEPT_AT_MOST:
            self._arrays.append(fresh)
        return fresh

    def __getstate__(self) -> dict[str, object]:
        return {"_arrays": []}


def _holders(arrays: list[NDArray[Any]], place: int) -> int:
    return sys.getrefcount(arrays[place])


# What `_holders` counts for an array that only the list holds, in this version of Python.
_ALONE = _holders([np.empty(0)], 0)
