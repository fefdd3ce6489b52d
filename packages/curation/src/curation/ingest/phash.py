"""A 64-bit perceptual hash: signs of low DCT frequencies of a small grey picture.

Equal for re-encodings and resizings of a picture in most cases; nothing more is claimed for it.
Source: the DCT hash of Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions (2010), 3.2.1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SIDE_PX = 32
FREQUENCIES = 8


def _dct_rows() -> NDArray[np.float32]:
    position = (2 * np.arange(SIDE_PX) + 1) * np.pi / (2 * SIDE_PX)
    return np.cos(np.arange(1, FREQUENCIES + 1)[:, None] * position[None, :]).astype(np.float32)


_ROWS = _dct_rows()
_BITS = np.uint64(1) << np.arange(64, dtype=np.uint64)


def phash(pixels: NDArray[np.uint8]) -> int:
    """Hash of a picture. Shapes: uint8 [H, W, 3] -> 64 bits, as an unsigned integer."""
    import cv2

    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    coefficients = (_ROWS @ small @ _ROWS.T).ravel()
    bits = coefficients > np.median(coefficients)
    return int(_BITS[bits].sum(dtype=np.uint64))
