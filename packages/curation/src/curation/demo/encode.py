"""Pictures as the files that a pool is made of: mostly JPEG, some PNG and WebP, a few with a turn to undo."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ORIENTATION_TAG = 0x0112
# EXIF 6: the stored picture has to be turned clockwise by 90 degrees to be seen upright.
TURNED = 6


def encode_file(picture: NDArray[np.uint8], rng: np.random.Generator) -> tuple[str, bytes]:
    """File ending and bytes of a picture. Shapes: uint8 [H, W, 3], RGB."""
    draw = rng.random()
    if draw < 0.75:
        return ".jpg", encode_jpeg(picture, int(rng.integers(80, 96)))
    if draw < 0.8:
        return ".jpg", _turned_jpeg(picture)
    if draw < 0.9:
        return ".png", _encode(picture, "PNG", compress_level=1)
    return ".webp", _encode(picture, "WEBP", quality=int(rng.integers(80, 96)), method=0)


def encode_jpeg(picture: NDArray[np.uint8], quality: int) -> bytes:
    """A plain JPEG."""
    return _encode(picture, "JPEG", quality=quality)


def _turned_jpeg(picture: NDArray[np.uint8]) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = TURNED
    return _encode(np.ascontiguousarray(np.rot90(picture)), "JPEG", quality=90, exif=exif)


def _encode(picture: NDArray[np.uint8], form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, form, **options)
    return buffer.getvalue()
