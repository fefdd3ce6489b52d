"""Faces blurred beyond recognition, the rest of the picture untouched.

Source: Yang et al., A Study of Face Obfuscation in ImageNet (ICML 2022), appendix: boxes widened by a tenth of their
diagonal, a Gaussian of a tenth of the largest diagonal, and a soft edge.
Differs: each face has the Gaussian of its own diagonal, and the soft edge lies outside the widened box, so that nothing
inside it shows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from curation.filters.faces.detector import Boxes, Pixels

WIDENED = 0.1
EDGE = 0.1
SIGMA = 0.1

Floats = NDArray[np.float32]


def blurred(pixels: Pixels, boxes: Boxes) -> Pixels:
    """A copy with every box blurred. Shapes: uint8 [H, W, 3], boxes [F, 4] (x, y, width, height)."""
    out = pixels.copy()
    for x, y, width, height in boxes.tolist():
        _blur_one(out, (x, y, x + width, y + height), float(np.hypot(width, height)))
    return out


def _blur_one(out: Pixels, box: tuple[float, float, float, float], diagonal: float) -> None:
    import cv2

    height, width = out.shape[:2]
    sigma, edge = SIGMA * diagonal, max(1.0, EDGE * diagonal)
    inside = [box[0] - WIDENED * diagonal, box[1] - WIDENED * diagonal]
    inside += [box[2] + WIDENED * diagonal, box[3] + WIDENED * diagonal]
    reach = edge + 3 * sigma
    left, top = max(0, int(inside[0] - reach)), max(0, int(inside[1] - reach))
    right, bottom = min(width, int(np.ceil(inside[2] + reach))), min(height, int(np.ceil(inside[3] + reach)))
    if left >= right or top >= bottom:
        return
    region = out[top:bottom, left:right]
    soft = cv2.GaussianBlur(region, (0, 0), max(sigma, 1.0), borderType=cv2.BORDER_REPLICATE).astype(np.float32)
    across = _ramp(np.arange(left, right), inside[0], inside[2], edge)
    down = _ramp(np.arange(top, bottom), inside[1], inside[3], edge)
    share = np.minimum(down[:, None], across[None, :])[:, :, None]
    mixed = soft * share + region.astype(np.float32) * (1 - share)
    out[top:bottom, left:right] = np.rint(mixed).astype(np.uint8)


def _ramp(places: NDArray[np.int64], low: float, high: float, edge: float) -> Floats:
    """1 from low to high, falling to 0 over `edge` px outside. Shapes: [N] -> [N]."""
    outside = np.maximum(low - places, places - high)
    return np.asarray(np.clip(1 - outside / edge, 0, 1), np.float32)
