"""Decode any image to 8-bit RGB, the same way everywhere.

| what | treatment |
|---|---|
| EXIF orientation | applied |
| animation | first frame |
| alpha, palette or colour key with transparency | over white |
| 16-bit, 32-bit and float grey | scaled to 8 bit: 16-bit by its full range, others by their own range |
| CMYK, YCCK, Lab, ... | converted to RGB by Pillow |
| truncated or damaged data | BadImage, also where the library itself would fill up with grey |
| EPS | refused: reading it would run another program |

Plain JPEG goes through libjpeg-turbo, everything else through Pillow.
"""

from __future__ import annotations

from curation.decode.limits import DecodeLimits
from curation.decode.open_image import Pixels, open_image

_DEFAULT_LIMITS = DecodeLimits()


def decode_rgb(data: bytes, limits: DecodeLimits = _DEFAULT_LIMITS, max_side_px: int | None = None) -> Pixels:
    """Pixels of an image. Shapes: uint8 [H, W, 3].

    `max_side_px`: the caller needs no more than this longer side; a JPEG may then be decoded at a half, quarter or
    eighth, never below it. Errors: BadImage.
    """
    return open_image(data, limits).rgb(max_side_px)
