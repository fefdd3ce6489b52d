"""From the bytes of a file to RGB pixels, in one place, so that every step sees the same picture."""

from curation.decode.bad_image import REASONS, BadImage
from curation.decode.decode_rgb import decode_rgb
from curation.decode.limits import DecodeLimits
from curation.decode.open_image import OpenedImage, open_image

__all__ = ["REASONS", "BadImage", "DecodeLimits", "OpenedImage", "decode_rgb", "open_image"]
