"""Decode an image's bytes to pixels: JPEG through libjpeg-turbo, everything else through Pillow."""

from __future__ import annotations

import io
import math
import struct
import warnings

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageOps

MAX_PIXELS = 89_478_485  # Pillow's own limit: a quarter of a GiB as 24-bit colour
_ORIENTATION_TAG = 0x0112
MOST_KEPT_BYTES = 64 << 20
Pixels = NDArray[np.uint8]


class BadImage(Exception):
    """An image that cannot be used; the text is a reason code, a colon and what was found."""


class Canvas:
    """Memory for decoded pixels that is used again and again: fresh memory costs a fifth of the decoding time."""

    def __init__(self) -> None:
        self._memory = np.empty(0, dtype=np.uint8)

    def room(self, size: int) -> Pixels:
        """At least `size` bytes; what they held before is lost."""
        if self._memory.nbytes < size:
            self._memory = np.empty(size + size // 4, dtype=np.uint8)
        return self._memory


def decode_image(
    data: bytes, channels: int = 3, enough_pixels: float = math.inf, canvas: Canvas | None = None
) -> Pixels:
    """Pixels of the first frame, upright (EXIF), transparency over white.

    channels: 1 gray, 3 RGB, 4 RGBA; any other number needs a `.npy` array (uint8 [H, W, channels]).
    enough_pixels: a JPEG of at least 4 times as many is decoded at 1/2, 1/4 or 1/8 of its sides, not below this.
    canvas: the pixels may lie there, and then last until the next image is decoded with it.
    Shapes: uint8 [H, W, channels], C order. Errors: BadImage.
    """
    if data[:6] == b"\x93NUMPY":
        return _from_npy(data, channels)
    if channels == 3 and data[:2] == b"\xff\xd8":
        pixels = _from_jpeg(data, enough_pixels, canvas)
        if pixels is not None:
            return pixels
    return _from_pillow(data, channels)


def _from_jpeg(data: bytes, enough_pixels: float, canvas: Canvas | None) -> Pixels | None:
    """Fast path; None for what Pillow has to look at (CMYK, warnings of the decoder, damage)."""
    try:
        height, width, colorspace, _ = simplejpeg.decode_jpeg_header(data)
        _check_size(width, height)
        if colorspace in ("CMYK", "YCCK"):
            return None
        parts = 1
        while parts < 8 and height * width >= enough_pixels * (2 * parts) ** 2:
            parts *= 2
        least = (-(-height // parts), -(-width // parts))
        size = 3 * (least[0] + 1) * (least[1] + 1)
        buffer = canvas.room(size) if canvas is not None and size <= MOST_KEPT_BYTES else None
        pixels = simplejpeg.decode_jpeg(data, "RGB", min_height=least[0], min_width=least[1], buffer=buffer)
    except ValueError:
        return None
    return upright(pixels, exif_orientation(data))


def exif_orientation(data: bytes) -> int:
    """Orientation 1 to 8 of a JPEG's EXIF block; 1 when there is none or it cannot be read.

    Source: EXIF 2.3 section 4.5 (TIFF header, IFD0), JPEG markers APP1 and SOS.
    """
    position = 2
    while data[position : position + 1] == b"\xff" and data[position + 1 : position + 2] != b"\xda":
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        if data[position + 1] == 0xE1 and data[position + 4 : position + 10] == b"Exif\0\0":
            return _orientation_in_tiff(data[position + 10 : position + 2 + length])
        position += 2 + max(length, 2)
    return 1


def _orientation_in_tiff(tiff: bytes) -> int:
    try:
        order = {b"II": "<", b"MM": ">"}[tiff[:2]]
        (offset,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, offset)
        for entry in range(min(count, 512)):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", tiff, offset + 2 + 12 * entry)
            if tag == _ORIENTATION_TAG and kind == 3:
                return value if 1 <= value <= 8 else 1
    except (KeyError, struct.error):
        return 1
    return 1


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """Turn and mirror as EXIF orientation 1 to 8 asks. Shapes: [H, W, C] in, [H, W, C] or [W, H, C] out."""
    if orientation == 1:
        return pixels
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    # After the transposition of 5 to 8: which of (rows, columns) run backwards.
    rows = orientation in (3, 4, 7, 8)
    columns = orientation in (2, 3, 6, 7)
    return np.ascontiguousarray(pixels[:: -1 if rows else 1, :: -1 if columns else 1])


def _from_pillow(data: bytes, channels: int) -> Pixels:
    mode = {1: "L", 3: "RGB", 4: "RGBA"}.get(channels)
    if mode is None:
        raise BadImage(f"channels: an image file where a .npy array of {channels} channels was wanted")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as image:
                _check_size(*image.size)
                image.load()
                turned = ImageOps.exif_transpose(image)
                pixels = np.array(_as_mode(turned, mode), dtype=np.uint8)
    except BadImage:
        raise
    except Exception as error:  # Pillow's plugins raise nearly anything on damaged files
        detail = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadImage(f"undecodable: {detail[:120]}") from None
    return np.ascontiguousarray(pixels.reshape(*pixels.shape[:2], channels))


def _as_mode(image: Image.Image, mode: str) -> Image.Image:
    """Any Pillow image as 8-bit `mode`; 16-bit gray keeps its upper 8 bits, transparency lies over white."""
    if image.mode.startswith("I;16") or image.mode == "I":
        values = np.asarray(image).astype(np.int64)
        image = Image.fromarray(np.clip(values >> 8, 0, 255).astype(np.uint8))
    elif image.mode == "F":
        image = Image.fromarray(np.clip(np.asarray(image), 0, 255).astype(np.uint8))
    if mode != "RGBA" and (image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info):
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, rgba)
    return image if image.mode == mode else image.convert(mode)


def _from_npy(data: bytes, channels: int) -> Pixels:
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise BadImage(f"undecodable: {str(error)[:120]}") from None
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != channels or not array.size:
        raise BadImage(f"channels: {array.dtype} {array.shape} where uint8 [H, W, {channels}] was wanted")
    _check_size(array.shape[1], array.shape[0])
    return np.ascontiguousarray(array)


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise BadImage(f"too_large: {width}x{height} pixels where at most {MAX_PIXELS:,} were wanted")
    if width < 1 or height < 1:
        raise BadImage(f"empty: {width}x{height} pixels")
