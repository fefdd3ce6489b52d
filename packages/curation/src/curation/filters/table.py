"""All filters: the name of a value, as in curate.yaml, filters.parquet and reasons, and the function that gives it.

Adding one is a file, a line here, and its default bounds in filters/config.py (a test holds the two together).
"""

from __future__ import annotations

from collections.abc import Callable

from curation.filters.aspect_ratio import aspect_ratio
from curation.filters.blur import blur
from curation.filters.entropy import entropy
from curation.filters.near_constant import deviation, dominant_share
from curation.filters.picture import Picture
from curation.filters.resolution import long_side_px, short_side_px

MEASURES: dict[str, Callable[[Picture], float]] = {
    "short_side_px": short_side_px,
    "long_side_px": long_side_px,
    "aspect_ratio": aspect_ratio,
    "blur": blur,
    "deviation": deviation,
    "dominant_share": dominant_share,
    "entropy": entropy,
}
