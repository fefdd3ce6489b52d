"""Low frequencies of the grey picture: what a perceptual hash looks at, as numbers and not as bits.

Dimensions: E even and O odd coefficients.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SIDE_PX = 64
FREQUENCIES = 16
# Coefficients are compressed by this power, so that one strong one (a bright sky) does not decide alone; power 0 would
# leave the signs.
POWER = 0.25
# A picture of one colour leaves rounding errors of less than a grey level.
NOISE_LEVELS = 1.0

Floats = NDArray[np.float32]

_VERTICAL, _HORIZONTAL = np.mgrid[0:FREQUENCIES, 0:FREQUENCIES]
_USED = (_VERTICAL + _HORIZONTAL > 0).ravel()
_ODD = (_HORIZONTAL % 2 == 1).ravel()
EVEN_AT = np.flatnonzero(_USED & ~_ODD)
ODD_AT = np.flatnonzero(_USED & _ODD)


def _dct_rows(samples: int, frequencies: int) -> Floats:
    """The first rows of the DCT-II matrix, all of one scale. Shapes: [frequencies, samples]."""
    position = (2 * np.arange(samples) + 1) * np.pi / (2 * samples)
    return np.asarray(np.cos(np.arange(frequencies)[:, None] * position) * np.sqrt(2 / samples), np.float32)


_DCT = _dct_rows(SIDE_PX, FREQUENCIES)


def low_frequencies(small: NDArray[np.uint8]) -> Floats:
    """Coefficients in grey levels, even then odd. Those of odd horizontal frequency change sign in a mirror.

    Shapes: uint8 [SIDE_PX, SIDE_PX, 3] -> [E + O].
    """
    import cv2

    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    plane = (_DCT @ grey @ _DCT.T).ravel()
    values = np.concatenate([plane[EVEN_AT], plane[ODD_AT]])
    values[np.abs(values) < NOISE_LEVELS] = 0
    return values


def compressed(values: Floats) -> Floats:
    """Signed power of the coefficients, of length 1 (zeros stay). Shapes: [E + O] -> the same."""
    out = np.sign(values) * np.abs(values) ** np.float32(POWER)
    return np.asarray(out / max(float(np.linalg.norm(out)), 1e-12), np.float32)


def carriers(values: Floats) -> float:
    """How many coefficients carry the picture: the participation number (sum |c|)^2 / sum c^2."""
    sizes = np.abs(values).astype(np.float64)
    energy = float((sizes**2).sum())
    return float(sizes.sum()) ** 2 / energy if energy > 0 else 0.0
