"""What the header says: format and size as shown, checked against the limits, without decoding pixels."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import Any

from PIL import Image, UnidentifiedImageError

from curation.decode.bad_image import BadImage, code_of
from curation.decode.limits import DecodeLimits

ORIENTATION_TAG = 0x0112
_TURNED = {5, 6, 7, 8}
_UPRIGHT = 1


@dataclass(frozen=True)
class ImageProbe:
    """Header facts. Units: width and height in px after EXIF orientation; `orientation` is the EXIF value 1..8."""

    format: str
    width_px: int
    height_px: int
    mode: str
    orientation: int


def open_lazily(data: bytes) -> Any:
    """A Pillow image whose pixels are not decoded yet. Errors: BadImage (empty, not_an_image, corrupt, too_large)."""
    if not data:
        raise BadImage("empty", "zero bytes")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Image.open(io.BytesIO(data))
    except Image.DecompressionBombError as error:
        raise BadImage("too_large", str(error)) from None
    except UnidentifiedImageError:
        raise BadImage("not_an_image", f"begins with {data[:12]!r}") from None
    except (OSError, ValueError, SyntaxError, EOFError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise BadImage(code_of(str(error)), f"{type(error).__name__}: {error}") from None


def probe_image(data: bytes, limits: DecodeLimits) -> ImageProbe:
    """Read the header and apply the limits. Errors: BadImage."""
    image = open_lazily(data)
    orientation = _orientation(image)
    width, height = image.size
    if orientation in _TURNED:
        width, height = height, width
    if width * height > limits.max_pixels:
        raise BadImage("too_large", f"{width} x {height} px, limit {limits.max_pixels} px in all")
    short, long = sorted((width, height))
    if short < limits.min_side_px:
        raise BadImage("too_small", f"{width} x {height} px, limit {limits.min_side_px} px a side")
    if long > limits.max_aspect * short:
        raise BadImage("too_long", f"{width} x {height} px, limit {limits.max_aspect:g} to 1")
    return ImageProbe(str(image.format or "unknown").lower(), width, height, str(image.mode), orientation)


def _orientation(image: Any) -> int:
    """EXIF orientation; damaged EXIF counts as upright."""
    try:
        value = image.getexif().get(ORIENTATION_TAG, _UPRIGHT)
    except Exception:  # EXIF parsers fail in many ways, and none of them makes the picture unusable
        return _UPRIGHT
    return value if isinstance(value, int) and 1 <= value <= 8 else _UPRIGHT
