"""Decode any image to 8-bit RGB, the same way everywhere.

| what | treatment |
|---|---|
| EXIF orientation | applied |
| animation | first frame |
| alpha, palette with transparency | over white |
| 16-bit, 32-bit and float grey | scaled to 8 bit: 16-bit by its full range, others by their own range |
| CMYK, YCCK, Lab, ... | converted to RGB by Pillow |
| truncated or damaged data | BadImage, also where the library itself would fill up with grey |

Plain JPEG goes through libjpeg-turbo, everything else through Pillow.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from curation.decode.bad_image import BadImage, code_of
from curation.decode.limits import DecodeLimits
from curation.decode.probe import ImageProbe, open_lazily, probe_image

Pixels = NDArray[np.uint8]
_DEFAULT_LIMITS = DecodeLimits()


def decode_rgb(data: bytes, limits: DecodeLimits = _DEFAULT_LIMITS, max_side_px: int | None = None) -> Pixels:
    """Pixels of an image. Shapes: uint8 [H, W, 3].

    `max_side_px`: the caller needs no more than this longer side; a JPEG may then be decoded at a half, quarter or
    eighth, never below it. Errors: BadImage.
    """
    probe = probe_image(data, limits)
    if probe.format == "jpeg" and probe.mode in ("RGB", "L"):
        return _orient(_decode_jpeg(data, probe, max_side_px), probe.orientation)
    return _decode_with_pillow(data)


def _decode_jpeg(data: bytes, probe: ImageProbe, max_side_px: int | None) -> Pixels:
    import simplejpeg

    wanted = {}
    if max_side_px and max(probe.width_px, probe.height_px) >= 2 * max_side_px:
        scale = max_side_px / max(probe.width_px, probe.height_px)
        width, height = _stored_size(probe)
        wanted = {"min_width": max(1, int(width * scale)), "min_height": max(1, int(height * scale))}
    try:
        pixels: Pixels = simplejpeg.decode_jpeg(data, "RGB", strict=True, **wanted)
    except ValueError as error:
        if not _is_serious(str(error)):
            return _decode_with_pillow(data, orient=False)
        raise BadImage(code_of(str(error)), str(error)) from None
    return pixels


# Warnings of libjpeg about what surrounds the picture (metadata, stray bytes between segments), not about its pixels.
_HARMLESS = ("extraneous bytes before marker", "unknown adobe color transform", "invalid icc", "corrupt jfif")
# Bytes left over at the end of the picture: its entropy-coded data was damaged and decoding lost its place.
_LEFT_OVER = "before marker 0xd9"


def _is_serious(message: str) -> bool:
    text = message.lower()
    return _LEFT_OVER in text or not any(harmless in text for harmless in _HARMLESS)


def _stored_size(probe: ImageProbe) -> tuple[int, int]:
    turned = probe.orientation >= 5
    return (probe.height_px, probe.width_px) if turned else (probe.width_px, probe.height_px)


def _orient(pixels: Pixels, orientation: int) -> Pixels:
    """Apply an EXIF orientation. Shapes: [H, W, 3] -> [H, W, 3] or [W, H, 3]."""
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    # 2 and 7 mirror left to right, 4 and 5 ... see EXIF 2.3, tag 0x0112.
    flip_x = orientation in (2, 3, 6, 7)
    flip_y = orientation in (3, 4, 7, 8)
    pixels = pixels[:: -1 if flip_y else 1, :: -1 if flip_x else 1]
    return np.ascontiguousarray(pixels)


def _decode_with_pillow(data: bytes, orient: bool = True) -> Pixels:
    image = open_lazily(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image.seek(0)
            image.load()
            if orient:
                image = _upright(image)
            return np.ascontiguousarray(np.asarray(_to_rgb(image)))
    except Image.DecompressionBombError as error:
        raise BadImage("too_large", str(error)) from None
    except MemoryError:
        raise BadImage("too_large", "does not fit in memory") from None
    except Exception as error:  # Pillow's plugins raise nearly anything on damaged data
        raise BadImage(code_of(str(error)), f"{type(error).__name__}: {error}") from None


def _upright(image: Any) -> Any:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF: the picture itself is fine
        return image


def _to_rgb(image: Any) -> Any:
    if image.mode == "RGB":
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
    values = np.asarray(image, dtype=np.float64)
    if image.mode.startswith("I;16") or (image.mode == "I" and values.min() >= 0 and 255 < values.max() < 65536):
        grey = values / 257.0
    else:
        low, high = float(values.min()), float(values.max())
        if image.mode == "I" and low >= 0 and high <= 255:
            grey = values
        else:
            grey = (values - low) * (255.0 / max(high - low, 1e-12))
    return Image.fromarray(grey.round().clip(0, 255).astype(np.uint8)).convert("RGB")
