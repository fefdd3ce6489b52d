"""The plain look of a picture: a unit vector whose cosine falls as colours or the blurred layout differ.

For pictures with little structure (icons, letters, gradients, shapes on white) this is what tells them apart. The
layout is that of the picture and its mirror image together, so that both have the same vector.

Source: random Fourier features of a Gaussian kernel (Rahimi and Recht 2007).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WAVES = 48
# The outer quantiles belong to small things on a plain ground.
QUANTILES = (0.001, 0.005, 0.02, 0.25, 0.5, 0.75, 0.98, 0.995, 0.999)
# Differences at which the cosine has fallen to 0.61: root mean square of the quantiles, length of the layout's.
COLOUR_LEVELS = 16.0
LAYOUT_LEVELS = 45.0
GRID = 16
VALUES = 3 * len(QUANTILES) + GRID * GRID // 2

Floats = NDArray[np.float32]


def _waves() -> Floats:
    """Frequencies for scaled quantiles and layout. Shapes: [WAVES, VALUES]."""
    return np.asarray(np.random.Generator(np.random.PCG64(20)).standard_normal((WAVES, VALUES)), np.float32)


_WAVES = _waves()
_CHANNEL_STARTS = np.arange(3) * 256


def plain_look(small: NDArray[np.uint8]) -> Floats:
    """Shapes: uint8 [side, side, 3], side a multiple of GRID -> [2 * WAVES], length 1."""
    colours = _quantiles(small) / np.float32(COLOUR_LEVELS * (3 * len(QUANTILES)) ** 0.5)
    phase = _WAVES @ np.concatenate([colours, _layout(small) / np.float32(LAYOUT_LEVELS)])
    return np.asarray(np.concatenate([np.cos(phase), np.sin(phase)]) / WAVES**0.5, np.float32)


def _quantiles(small: NDArray[np.uint8]) -> Floats:
    """Grey levels of every channel in order. Shapes: [h, w, 3] -> [3 * quantiles]."""
    pixels = small.shape[0] * small.shape[1]
    counts = np.bincount((small.reshape(-1, 3) + _CHANNEL_STARTS).ravel(), minlength=3 * 256).reshape(3, 256)
    at = [round(q * (pixels - 1)) for q in QUANTILES]
    levels = [np.searchsorted(below, at, side="right") for below in counts.cumsum(axis=1)]
    return np.concatenate(levels).astype(np.float32)


def _layout(small: NDArray[np.uint8]) -> Floats:
    """Grey means on a grid, of the picture and its mirror image; the half that says all. Shapes: -> [GRID^2 / 2]."""
    import cv2

    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    step = small.shape[0] // GRID
    means = grey.reshape(GRID, step, GRID, step).mean(axis=(1, 3))
    half = (means + means[:, ::-1])[:, : GRID // 2] / 2
    return np.asarray(half.ravel(), np.float32)
