"""What filters look at: the size of an image, and its pixels reduced to one size so that values compare.

Pixels are reduced to a longer side of 256 px (never enlarged): blur and noise that vanish at the size at which models
are trained do not count against an image, and one threshold serves small and large pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curation.decode import DecodeLimits, decode_rgb

REDUCED_SIDE_PX = 256
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Picture:
    """Size as catalogued, and reduced pixels. Shapes: rgb uint8 [h, w, 3], grey uint8 [h, w]."""

    width_px: int
    height_px: int
    rgb: Pixels
    grey: Pixels


def picture_of(data: bytes, width_px: int, height_px: int, limits: DecodeLimits) -> Picture:
    """Decode once and reduce. Errors: BadImage."""
    return reduced(decode_rgb(data, limits, max_side_px=REDUCED_SIDE_PX), width_px, height_px)


def reduced(pixels: Pixels, width_px: int, height_px: int) -> Picture:
    """Reduce pixels. Shapes: uint8 [H, W, 3]."""
    import cv2

    height, width = pixels.shape[:2]
    scale = REDUCED_SIDE_PX / max(height, width)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    return Picture(width_px, height_px, pixels, np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8))
