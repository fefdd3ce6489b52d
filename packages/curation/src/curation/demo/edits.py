"""What people do to a picture before they post it again: the planted near duplicates."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


def edited(edit: str, picture: Image, rng: np.random.Generator) -> Image:
    """The picture after one of EDIT_KINDS; its side may change."""
    return np.ascontiguousarray(EDITS[edit](picture, rng))


def _resize(picture: Image, rng: np.random.Generator) -> Image:
    side = round(len(picture) * (rng.uniform(0.6, 0.85) if rng.random() < 0.5 else rng.uniform(1.2, 1.8)))
    return np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def _recompress(picture: Image, rng: np.random.Generator) -> Image:
    quality = int(rng.integers(15, 40))
    _, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[..., ::-1]


def _crop(picture: Image, rng: np.random.Generator) -> Image:
    side = len(picture)
    keep = round(side * rng.uniform(0.9, 0.96))
    top, left = rng.integers(0, side - keep + 1, 2)
    return picture[top : top + keep, left : left + keep]


def _mirror(picture: Image, _rng: np.random.Generator) -> Image:
    return picture[:, ::-1]


def _brightness(picture: Image, rng: np.random.Generator) -> Image:
    gain, offset = rng.uniform(0.7, 1.25), rng.uniform(-25, 25)
    return np.asarray(np.clip(picture * gain + offset, 0, 255), np.uint8)


def _text(picture: Image, rng: np.random.Generator) -> Image:
    out = picture.copy()
    side = len(out)
    word = bytes(rng.integers(65, 91, 5).astype(np.uint8)).decode("ascii")
    at = (int(rng.integers(2, side // 4)), int(rng.integers(side // 4, side - 3)))
    shade = 255 if rng.random() < 0.5 else 0
    cv2.putText(out, word, at, cv2.FONT_HERSHEY_SIMPLEX, side / 190, (shade, shade, shade), 1, cv2.LINE_AA)
    return out


def _blur(picture: Image, rng: np.random.Generator) -> Image:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.6, 1.2)), np.uint8)


def _grey(picture: Image, _rng: np.random.Generator) -> Image:
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    return np.repeat(grey[..., None], 3, axis=2)


EDITS: dict[str, Callable[[Image, np.random.Generator], Image]] = {
    "blur": _blur,
    "brightness": _brightness,
    "crop": _crop,
    "grey": _grey,
    "mirror": _mirror,
    "recompress": _recompress,
    "resize": _resize,
    "text": _text,
}
EDIT_KINDS = tuple(EDITS)
