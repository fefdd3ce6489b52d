"""A 64-bit perceptual hash: signs of low DCT frequencies of a small grey picture.

Equal for re-encodings and resizings of a picture in most cases; nothing more is claimed for it.
Source: the DCT hash of Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions (2010), 3.2.1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SIDE_PX = 32
FREQUENCIES = 8


def small_grey(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What is hashed. Shapes: uint8 [H, W] -> uint8 [32, 32]."""
    import cv2

    if grey.shape == (SIDE_PX, SIDE_PX):
        return grey
    return np.asarray(cv2.resize(grey, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA), np.uint8)


def phash_many(small: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Hashes of small grey pictures. Shapes: uint8 [N, 32, 32] -> uint64 [N]."""
    import cv2

    # OpenCV's transform and not a matrix product: a threaded BLAS takes more CPU to wake its threads than this does.
    lowest = slice(1, FREQUENCIES + 1)
    coefficients = np.stack([cv2.dct(picture)[lowest, lowest] for picture in small.astype(np.float32)])
    coefficients = coefficients.reshape(len(small), -1)
    bits = coefficients > np.median(coefficients, axis=1, keepdims=True)
    return np.packbits(bits, axis=1, bitorder="little").view("<u8").astype(np.uint64)[:, 0]


def phash(pixels: NDArray[np.uint8]) -> int:
    """Hash of one picture. Shapes: uint8 [H, W, 3] or [H, W]."""
    import cv2

    grey = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8) if pixels.ndim == 3 else pixels
    return int(phash_many(small_grey(grey)[None])[0])
