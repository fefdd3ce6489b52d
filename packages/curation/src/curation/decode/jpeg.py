"""Plain JPEG through libjpeg-turbo: header, EXIF orientation, and pixels whose damage is not covered up."""

from __future__ import annotations

import struct
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from curation.decode.bad_image import BadImage, code_of

Pixels = NDArray[np.uint8]

START = b"\xff\xd8\xff"
_EXIF = b"Exif\x00\x00"
_ORIENTATION_TAG = 0x0112
_PLAIN = {"YCbCr", "Gray", "RGB"}
# Warnings of libjpeg about what surrounds the picture (metadata, stray bytes between segments), not about its pixels.
_HARMLESS = ("extraneous bytes before marker", "unknown adobe color transform", "invalid icc", "corrupt jfif")
# Bytes left over at the end of the picture: its entropy-coded data was damaged and decoding lost its place.
_LEFT_OVER = "before marker 0xd9"


class NotPlain(Exception):
    """Pillow is to read this file: CMYK, or a header that libjpeg-turbo does not take."""


def jpeg_size(data: bytes) -> tuple[int, int]:
    """Width and height as stored. Errors: NotPlain."""
    import simplejpeg

    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError as error:
        raise NotPlain(str(error)) from None
    if colours not in _PLAIN:
        raise NotPlain(colours)
    return int(width), int(height)


def jpeg_orientation(data: bytes) -> int:
    """EXIF orientation 1..8; 1 where there is none or the EXIF data is damaged.

    Source: EXIF 2.3, 4.5.4 (APP1) and 4.6.2 (TIFF header, IFD).
    """
    place = data.find(_EXIF, 0, 1 << 16)
    if place < 4 or data[place - 4 : place - 2] != b"\xff\xe1":
        return 1
    tiff = place + len(_EXIF)
    order: Literal["<", ">"] = "<" if data[tiff : tiff + 2] == b"II" else ">"
    try:
        (offset,) = struct.unpack_from(f"{order}I", data, tiff + 4)
        (entries,) = struct.unpack_from(f"{order}H", data, tiff + offset)
        for number in range(min(entries, 256)):
            tag, _kind, _count, value = struct.unpack_from(f"{order}HHIH", data, tiff + offset + 2 + 12 * number)
            if tag == _ORIENTATION_TAG:
                return int(value) if 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1


def decode_jpeg(data: bytes, size: tuple[int, int], max_side_px: int | None, *, grey: bool) -> Pixels:
    """Pixels as stored. Shapes: uint8 [h, w, 3], or [h, w] when grey (the luma of the file).

    `size`: stored width and height. `max_side_px`: a smaller scale of the DCT will do, as long as the longer side is no
    shorter than this. Errors: BadImage; NotPlain for a warning about something else than the pixels.
    """
    import simplejpeg

    least = {}
    if max_side_px and max(size) >= 2 * max_side_px:
        scale = max_side_px / max(size)
        least = {"min_width": max(1, int(size[0] * scale)), "min_height": max(1, int(size[1] * scale))}
    try:
        pixels: Pixels = simplejpeg.decode_jpeg(data, "GRAY" if grey else "RGB", strict=True, **least)
    except ValueError as error:
        if _is_serious(str(error)):
            raise BadImage(code_of(str(error)), str(error)) from None
        raise NotPlain(str(error)) from None
    return pixels[..., 0] if grey else pixels


def _is_serious(message: str) -> bool:
    text = message.lower()
    return _LEFT_OVER in text or not any(harmless in text for harmless in _HARMLESS)
