"""Aspect ratio: how far from square an image is, standing or lying."""

from __future__ import annotations

from curation.filters.picture import Picture


def aspect_ratio(picture: Picture) -> float:
    """Longer side divided by the shorter one; 1 is square."""
    short, long = sorted((picture.width_px, picture.height_px))
    return long / max(short, 1)
