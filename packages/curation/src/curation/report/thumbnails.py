"""Small pictures inside a page: `data:` addresses, so that the page is one file that works anywhere."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from curation.decode import BadImage, decode_rgb
from curation.sources.read_bytes import read_bytes

SIDE_PX = 112
QUALITY = 72


def thumbnails(uris: Mapping[str, str]) -> dict[str, str]:
    """Address of a thumbnail by key; images that cannot be read any more have none. Input: uri by key."""
    keys = sorted(uris, key=lambda key: uris[key])
    found = {}
    for key, data in zip(keys, read_bytes(uris[key] for key in keys), strict=True):
        try:
            found[key] = data_address(decode_rgb(data, max_side_px=SIDE_PX))
        except BadImage:
            continue
    return found


def data_address(pixels: NDArray[np.uint8]) -> str:
    """A JPEG of at most SIDE_PX as a `data:` address. Shapes: [H, W, 3]."""
    import cv2

    height, width = pixels.shape[:2]
    scale = SIDE_PX / max(height, width)
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    done, jpeg = cv2.imencode(".jpg", pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    assert done
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode()
