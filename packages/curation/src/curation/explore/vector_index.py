"""The nearest images of a vector: an exact product over all stored vectors.

The store is mapped, not read. Where it fits, unit rows are kept in float32 beside it, because converting float16 is
most of the cost of a query; a larger store is converted block by block.

Dimensions: S stored vectors, D width, K neighbours.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.embedding_store import EmbeddingStore
from curation.explore.keys import Keys, key_array, rows_of
from curation.index.mirror_cosine import Floats, cosine_block, pair_cosines, unit_rows

RESIDENT_BYTES = 3 << 29
BLOCK_ROWS = 16_384
SPARE = 16

Rows = NDArray[np.int64]


class VectorIndex:
    """One model's vectors of the pool. `pool_rows[s]`: place of stored vector s among the keys, -1 when it is gone."""

    def __init__(self, store: EmbeddingStore, keys: Keys, resident_bytes: int = RESIDENT_BYTES) -> None:
        self.model, self.dim = store.model, store.dim
        self.version = str(store.settings.get("version", ""))
        self.odd_dims = int(store.settings.get("odd_dims", 0))
        self._parts = [store.part_vectors(position) for position in range(store.parts)]
        self._starts = np.concatenate([[0], np.cumsum(store.part_rows)]).astype(np.int64)
        self.pool_rows = rows_of(key_array(pa.chunked_array([store.keys])), keys)
        self._stored = np.full(len(keys), -1, np.int64)
        known = self.pool_rows >= 0
        self._stored[self.pool_rows[known]] = np.flatnonzero(known)
        fits = store.rows * store.dim * 4 <= resident_bytes
        self._units = self._all_units(store.rows) if fits else None

    def __len__(self) -> int:
        return len(self.pool_rows)

    def _all_units(self, rows: int) -> Floats:
        units = np.empty((rows, self.dim), np.float32)
        for start, part in zip(self._starts, self._parts, strict=False):
            for first in range(0, len(part), BLOCK_ROWS):
                block = unit_rows(part[first : first + BLOCK_ROWS])
                units[start + first : start + first + len(block)] = block
        return units

    def vectors(self, rows: Rows) -> tuple[Rows, Floats]:
        """(rows that have a vector, their unit vectors) of some rows of the pool. Shapes: [n] -> [m], [m, D]."""
        stored = self._stored[rows]
        have = stored >= 0
        if self._units is not None:
            return rows[have], self._units[stored[have]]
        out = np.empty((int(have.sum()), self.dim), np.float32)
        wanted = stored[have]
        part = np.searchsorted(self._starts, wanted, side="right") - 1
        for number in np.unique(part).tolist():
            inside = part == number
            out[inside] = self._parts[number][wanted[inside] - self._starts[number]]
        return rows[have], unit_rows(out)

    def nearest(self, vector: NDArray[np.float32], count: int, without: int = -1) -> tuple[Rows, Floats]:
        """Pool rows and exact cosines of the nearest images, best first, the lower row on ties; not the row `without`.

        Shapes: vector [D] -> [K], [K].
        """
        query = unit_rows(vector[None])
        scores = self._scores(query)
        scores[self.pool_rows < 0] = -np.inf
        if without >= 0 and self._stored[without] >= 0:
            scores[self._stored[without]] = -np.inf
        wanted = min(count + SPARE, len(scores))
        if not wanted:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        best = np.argpartition(-scores, wanted - 1)[:wanted]
        rows, units = self.vectors(self.pool_rows[best[np.isfinite(scores[best])]])
        zeros = np.zeros(len(rows), np.int64)
        cosines = pair_cosines(query, units, zeros, np.arange(len(rows)), self.odd_dims)
        order = np.lexsort((rows, -cosines))[:count]
        return rows[order], cosines[order]

    def _scores(self, query: Floats) -> Floats:
        """Cosines with all stored vectors. Shapes: [1, D] -> [S]."""
        if self._units is not None:
            return np.ascontiguousarray(cosine_block(query, self._units, self.odd_dims)[0])
        scores = np.empty(len(self), np.float32)
        for start, part in zip(self._starts, self._parts, strict=False):
            for first in range(0, len(part), BLOCK_ROWS):
                block = unit_rows(part[first : first + BLOCK_ROWS])
                scores[start + first : start + first + len(block)] = cosine_block(query, block, self.odd_dims)[0]
        return scores
