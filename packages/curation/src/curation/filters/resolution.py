"""Resolution: the sides of an image as catalogued, after EXIF orientation."""

from __future__ import annotations

from curation.filters.picture import Picture


def short_side_px(picture: Picture) -> float:
    """The shorter side. Units: px."""
    return min(picture.width_px, picture.height_px)


def long_side_px(picture: Picture) -> float:
    """The longer side. Units: px."""
    return max(picture.width_px, picture.height_px)
