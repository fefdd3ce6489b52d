"""Every image that is no plain JPEG, through Pillow: opened lazily, then 8-bit RGB over white, upright, first frame."""

from __future__ import annotations

import io
import warnings
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from curation.decode.bad_image import BadImage, code_of

Pixels = NDArray[np.uint8]

ORIENTATION_TAG, _WIDTH_TAG, _HEIGHT_TAG = 0x0112, 0x0100, 0x0101
# Formats that Pillow knows by name and that are refused: EPS runs an external program, the others have no decoder.
REFUSED_FORMATS = {"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG"}


@cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in Image.ID if name not in REFUSED_FORMATS)


def open_lazily(data: bytes) -> Any:
    """A Pillow image whose pixels are not decoded yet. Errors: BadImage (empty, not_an_image, corrupt, too_large)."""
    if not data:
        raise BadImage("empty", "zero bytes")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Image.open(io.BytesIO(data), formats=_formats())
    except Image.DecompressionBombError as error:
        raise BadImage("too_large", str(error)) from None
    except UnidentifiedImageError:
        raise BadImage("not_an_image", f"begins with {data[:12]!r}") from None
    except (OSError, ValueError, SyntaxError, EOFError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise BadImage(code_of(str(error)), f"{type(error).__name__}: {error}") from None


def pillow_orientation(image: Any) -> int | None:
    """EXIF orientation 1..8; None where asking failed.

    Asking a PNG decodes it, so the failure may be the picture's; an image that failed once must be opened anew, since
    Pillow does not tell of the same damage twice.
    """
    try:
        value = image.getexif().get(ORIENTATION_TAG, 1)
    except Exception:  # EXIF parsers fail in many ways, and none of them makes the picture unusable
        return None
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def decode_pillow(image: Any) -> Pixels:
    """Upright pixels of the first frame. Shapes: uint8 [H, W, 3]. Errors: BadImage."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if image.tell():
                image.seek(0)  # only then: formats of one picture do not seek
            image.load()
            return np.ascontiguousarray(np.asarray(_to_rgb(_upright(image))))
    except Image.DecompressionBombError as error:
        raise BadImage("too_large", str(error)) from None
    except MemoryError:
        raise BadImage("too_large", "does not fit in memory") from None
    except Exception as error:  # Pillow's plugins raise nearly anything on damaged data
        raise BadImage(code_of(str(error)), f"{type(error).__name__}: {error}") from None


def shown_size(image: Any, orientation: int) -> tuple[int, int]:
    """(width, height) in px after EXIF orientation, of an image that is not loaded. TIFFs may tell theirs upright."""
    width, height = image.size
    if orientation < 5 or (image.format == "TIFF" and (height, width) == _stored_size(image)):
        return width, height
    return height, width


def _stored_size(image: Any) -> tuple[int, int] | None:
    width, height = (image.tag_v2.get(tag) for tag in (_WIDTH_TAG, _HEIGHT_TAG))
    return (width, height) if isinstance(width, int) and isinstance(height, int) else None


def _upright(image: Any) -> Any:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF: the picture itself is fine
        return image


def _to_rgb(image: Any) -> Any:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith(("I;16", "I", "F")):
        return _grey_from_wide(image)
    if image.mode in ("LA", "PA", "La", "RGBA", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, layer).convert("RGB")
    return image.convert("RGB")


def _grey_from_wide(image: Any) -> Any:
    """16-bit by its full range (so that brightness is kept), 32-bit and float by their own range."""
    values = np.nan_to_num(np.asarray(image, dtype=np.float64))
    if image.mode.startswith("I;16") or (image.mode == "I" and values.min() >= 0 and 255 < values.max() < 65536):
        grey = values / 257.0
    else:
        low, high = float(values.min()), float(values.max())
        if image.mode == "I" and low >= 0 and high <= 255:
            grey = values
        else:
            grey = (values - low) * (255.0 / max(high - low, 1e-12))
    return Image.fromarray(grey.round().clip(0, 255).astype(np.uint8)).convert("RGB")
