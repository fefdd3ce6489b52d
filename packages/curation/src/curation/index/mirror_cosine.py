"""Cosine of pictures that may be mirrored, for vectors whose last coordinates only change sign in a mirror.

Mirroring a picture left to right keeps the even coordinates of such a vector and negates the odd ones, so the larger
of cosine(x, y) and cosine(x, mirror(y)) is  even(x).even(y) + |odd(x).odd(y)|: one product, no second vector.

Dimensions: N queries, M base rows, D width, O odd coordinates (the last O of D; 0 gives the plain cosine).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Rows = NDArray[np.floating[Any]]


def unit_rows(vectors: Rows) -> Floats:
    """Rows as float32 of length 1; rows of zeros stay zeros. Shapes: [N, D] -> [N, D]."""
    rows = np.array(vectors, dtype=np.float32, order="C", copy=True)
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows, dtype=np.float32))
    rows /= np.maximum(lengths, np.float32(1e-12))[:, None]
    return rows


def cosine_block(queries: Floats, base: Floats, odd_dims: int = 0) -> Floats:
    """All cosines of two blocks of unit rows. Shapes: [N, D], [M, D] -> [N, M]."""
    if odd_dims == 0:
        return queries @ base.T
    even = queries.shape[1] - odd_dims
    block: Floats = queries[:, :even] @ base[:, :even].T
    odd = queries[:, even:] @ base[:, even:].T
    np.abs(odd, out=odd)
    block += odd
    return block


def pair_cosines(left: Rows, right: Rows, a: NDArray[np.int64], b: NDArray[np.int64], odd_dims: int = 0) -> Floats:
    """Exact cosine of rows left[a[i]] and right[b[i]], summed in float64, so that it does not depend on blocks.

    Shapes: [N, D], [M, D], [P], [P] -> [P].
    """
    out = np.empty(len(a), np.float32)
    even = left.shape[1] - odd_dims
    for start in range(0, len(a), 8192):
        stop = start + 8192
        x = np.asarray(left[a[start:stop]], dtype=np.float64)
        y = np.asarray(right[b[start:stop]], dtype=np.float64)
        products = x * y
        score = products[:, :even].sum(axis=1) + np.abs(products[:, even:].sum(axis=1))
        lengths = np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1))
        out[start:stop] = score / np.maximum(lengths, 1e-12)
    return out


def mirrored(vectors: Rows, odd_dims: int) -> Rows:
    """The vectors of the mirrored pictures. Shapes: [N, D] -> [N, D]."""
    turned = vectors.copy()
    if odd_dims:
        turned[:, vectors.shape[1] - odd_dims :] *= -1
    return turned
