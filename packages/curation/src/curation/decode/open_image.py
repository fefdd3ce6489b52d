"""An image whose header was read and checked against the limits, and whose pixels can be had in colour or grey."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.decode.bad_image import BadImage
from curation.decode.jpeg import START, NotPlain, decode_jpeg, jpeg_orientation, jpeg_size
from curation.decode.limits import DecodeLimits
from curation.decode.pillow_image import decode_pillow, open_lazily, pillow_orientation, shown_size

Pixels = NDArray[np.uint8]


@dataclass(slots=True)
class OpenedImage:
    """Header facts and the way to the pixels. Units: width and height in px as shown, after EXIF orientation."""

    format: str
    width_px: int
    height_px: int
    orientation: int
    _data: bytes = field(repr=False)
    _pillow: Any = field(default=None, repr=False)

    def rgb(self, max_side_px: int | None = None) -> Pixels:
        """Upright pixels. Shapes: uint8 [H, W, 3].

        `max_side_px`: the caller needs no more than this longer side; a JPEG may then be decoded smaller, never below
        it. Errors: BadImage.
        """
        return self._plain(max_side_px, grey=False) if self._pillow is None else decode_pillow(self._pillow)

    def grey(self, max_side_px: int | None = None) -> Pixels:
        """Upright brightness. Shapes: uint8 [H, W]. Otherwise as `rgb`."""
        if self._pillow is None:
            return self._plain(max_side_px, grey=True)
        return _brightness(decode_pillow(self._pillow))

    def _plain(self, max_side_px: int | None, *, grey: bool) -> Pixels:
        size = (self.height_px, self.width_px) if self.orientation >= 5 else (self.width_px, self.height_px)
        try:
            pixels = decode_jpeg(self._data, size, max_side_px, grey=grey)
        except NotPlain:
            upright = decode_pillow(open_lazily(self._data))
            return _brightness(upright) if grey else upright
        return orient(pixels, self.orientation)


def open_image(data: bytes, limits: DecodeLimits) -> OpenedImage:
    """Read the header and apply the limits, before any pixel is decoded. Errors: BadImage."""
    if data.startswith(START):
        try:
            width, height = jpeg_size(data)
        except NotPlain:
            return _open_with_pillow(data, limits)
        _check_size(width, height, limits)
        orientation = jpeg_orientation(data)
        return OpenedImage("jpeg", *_shown(width, height, orientation), orientation, data)
    return _open_with_pillow(data, limits)


def _open_with_pillow(data: bytes, limits: DecodeLimits) -> OpenedImage:
    image = open_lazily(data)
    width, height = image.size
    _check_size(width, height, limits)
    orientation = pillow_orientation(image)
    if orientation is None:
        image, orientation = open_lazily(data), 1
    form = str(image.format or "unknown").lower()
    return OpenedImage(form, *shown_size(image, orientation), orientation, data, image)


def _shown(width: int, height: int, orientation: int) -> tuple[int, int]:
    return (height, width) if orientation >= 5 else (width, height)


def _check_size(width: int, height: int, limits: DecodeLimits) -> None:
    if width * height > limits.max_pixels:
        raise BadImage("too_large", f"{width} x {height} px, limit {limits.max_pixels} px in all")
    short, long = (width, height) if width < height else (height, width)
    if short < limits.min_side_px:
        raise BadImage("too_small", f"{width} x {height} px, limit {limits.min_side_px} px a side")
    if long > limits.max_aspect * short:
        raise BadImage("too_long", f"{width} x {height} px, limit {limits.max_aspect:g} to 1")


def orient(pixels: Pixels, orientation: int) -> Pixels:
    """Apply an EXIF orientation (EXIF 2.3, tag 0x0112). Shapes: [H, W, ...] -> [H, W, ...] or [W, H, ...]."""
    if orientation == 1:
        return np.ascontiguousarray(pixels)
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    flip_x = orientation in (2, 3, 6, 7)
    flip_y = orientation in (3, 4, 7, 8)
    return np.ascontiguousarray(pixels[:: -1 if flip_y else 1, :: -1 if flip_x else 1])


def _brightness(pixels: Pixels) -> Pixels:
    import cv2

    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)
