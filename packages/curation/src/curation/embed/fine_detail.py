"""Finer frequencies of the grey picture: what tells two pages of one layout apart.

Only coefficients of even horizontal frequency, so that a mirrored picture gives the same numbers; random projections
keep their angles (Johnson and Lindenstrauss 1984).

Dimensions: B coefficients in the band.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SIDE_PX = 96
FROM_FREQUENCY, TO_FREQUENCY = 12, 40
POWER = 0.25
WIDTH = 128
# Below it lie rounding errors of a picture of one colour; the rounding of pixels to whole levels gives 0.3.
NOISE_LEVELS = 0.05

Floats = NDArray[np.float32]


def _rows() -> Floats:
    """DCT-II rows. Shapes: [TO_FREQUENCY, SIDE_PX]."""
    position = (2 * np.arange(SIDE_PX) + 1) * np.pi / (2 * SIDE_PX)
    return np.asarray(np.cos(np.arange(TO_FREQUENCY)[:, None] * position) * np.sqrt(2 / SIDE_PX), np.float32)


def _band() -> NDArray[np.int64]:
    """Places of the coefficients in the flattened square. Shapes: [B]."""
    vertical, horizontal = np.mgrid[0:TO_FREQUENCY, 0:TO_FREQUENCY]
    return np.flatnonzero(((np.maximum(vertical, horizontal) >= FROM_FREQUENCY) & (horizontal % 2 == 0)).ravel())


_DCT, _BAND = _rows(), _band()
_PROJECTION = np.random.Generator(np.random.PCG64(3)).standard_normal((WIDTH, len(_BAND))).astype(np.float32)


def fine_detail(picture: NDArray[np.uint8]) -> Floats:
    """Shapes: uint8 [h, w, 3] -> [WIDTH], length 1 (zeros for a picture without detail)."""
    import cv2

    square = cv2.resize(picture, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(square, cv2.COLOR_RGB2GRAY).astype(np.float32)
    band = (_DCT @ grey @ _DCT.T).ravel()[_BAND]
    band[np.abs(band) < NOISE_LEVELS] = 0
    projected = _PROJECTION @ (np.sign(band) * np.abs(band) ** np.float32(POWER))
    length = float(np.linalg.norm(projected))
    return projected / np.float32(length) if length > 1e-6 else np.zeros(WIDTH, np.float32)
