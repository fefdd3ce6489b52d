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
Pixels = NDArray[np.uint8]


class BadImage(Exception):
    """An image that cannot be used; the text is a reason code, a colon and what was found."""


def decode_image(data: bytes, channels: int = 3, enough_pixels: float = math.inf) -> Pixels:
    """Pixels of the first frame, upright (EXIF), transparency over white.

    channels: 1 gray, 3 RGB, 4 RGBA; any other number needs a `.npy` array (uint8 [H, W, channels]).
    enough_pixels: a JPEG of at least 4 times as many is decoded at 1/2, 1/4 or 1/8 of its sides, not below this.
    Shapes: uint8 [H, W, channels], C order. Errors: BadImage.
    """
    if data[:6] == b"\x93NUMPY":
        return _from_npy(data, channels)
    if channels == 3 and data[:2] == b"\xff\xd8":
        pixels = _from_jpeg(data, enough_pixels)
        if pixels is not None:
            return pixels
    return _from_pillow(data, channels)


def _from_jpeg(data: bytes, enough_pixels: float) -> Pixels | None:
    """Fast path; None for what Pillow has to look at (CMYK, warnings of the decoder, damage)."""
    try:
        height, width, colorspace, _ = simplejpeg.decode_jpeg_header(data)
        _check_size(width, height)
        if colorspace in ("CMYK", "YCCK"):
            return None
        parts = 1
        while parts < 8 and height * width >= enough_pixels * (2 * parts) ** 2:
            parts *= 2
        pixels = simplejpeg.decode_jpeg(data, "RGB", min_height=-(-height // parts), min_width=-(-width // parts))
    except ValueError:
        return None
    return upright(pixels, exif_orientation(data))


def exif_orientation(data: bytes) -> int:
    """Orientation 1 to 8 of a JPEG's EXIF block; 1 when there is none or it cannot be read.

    Source: EXIF 2.3 section 4.5 (TIFF header, IFD0), JPEG APP1 marker.
    """
    start = data.find(b"Exif\0\0", 0, 1 << 16)
    if start < 0:
        return 1
    tiff = data[start + 6 : start + 6 + (1 << 16)]
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
