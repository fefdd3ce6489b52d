"""From the bytes of a file to RGB pixels, in one place, so that every step sees the same picture."""

from curation.decode.bad_image import BadImage
from curation.decode.decode_rgb import decode_rgb
from curation.decode.limits import DecodeLimits
from curation.decode.probe import ImageProbe, probe_image

__all__ = ["BadImage", "DecodeLimits", "ImageProbe", "decode_rgb", "probe_image"]
