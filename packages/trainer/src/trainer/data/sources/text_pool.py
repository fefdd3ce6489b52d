"""Many short texts in two arrays instead of one Python object each: paths of a hundred million images fit in memory."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


class TextPool:
    """An immutable list of texts, stored as UTF-8 bytes end to end and their boundaries."""

    def __init__(self, texts: Iterable[str]) -> None:
        encoded = bytearray()
        ends = [0]
        for text in texts:
            encoded += text.encode("utf-8", "surrogateescape")
            ends.append(len(encoded))
        self._bytes = bytes(encoded)
        self._ends = np.asarray(ends, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: int) -> str:
        return self._bytes[self._ends[index] : self._ends[index + 1]].decode("utf-8", "surrogateescape")
