"""A picture made small for a page."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def small_jpeg(pixels: NDArray[np.uint8], side_px: int, quality: int) -> bytes:
    """A JPEG whose longer side is at most `side_px`. Shapes: [H, W, 3]. `quality`: 1 to 100, as JPEG counts it."""
    import cv2

    height, width = pixels.shape[:2]
    scale = side_px / max(height, width)
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    done, jpeg = cv2.imencode(".jpg", pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return bytes(jpeg.tobytes())
