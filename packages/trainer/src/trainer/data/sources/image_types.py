"""File names that are taken for images."""

from __future__ import annotations

IMAGE_SUFFIXES = frozenset(
    {"jpg", "jpeg", "jfif", "png", "webp", "bmp", "gif", "tif", "tiff", "ppm", "pgm", "pnm", "npy"}
)


def is_image_suffix(suffix: str) -> bool:
    """True for an image's file name suffix, with or without its dot, in any case."""
    return suffix.removeprefix(".").lower() in IMAGE_SUFFIXES
