"""Which images go into which part: a function of the catalogue and of what earlier runs finished.

A rerun after a kill cuts the same parts, so that published ones are found again and the store ends with the same bytes.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from curation.sources.image_part import ImagePart, cut_images

# Small pools are cut finer than the settings say, so that every core gets a share.
SMALLEST_PART = 64
PARTS_OF_A_SMALL_POOL = 16


def rows_per_part(images: int, largest: int) -> int:
    """Part size: `largest`, or less for small pools. It depends on the number of images alone."""
    return min(largest, max(SMALLEST_PART, -(-images // PARTS_OF_A_SMALL_POOL)))


def plan_parts(images: pa.Table, done_keys: pa.Array, first_number: int, largest: int) -> list[ImagePart]:
    """Parts over the images (columns key, uri) whose key is not done."""
    fresh = images.select(["key", "uri"]).filter(pc.invert(pc.is_in(images.column("key"), value_set=done_keys)))
    return cut_images(fresh, first_number, rows_per_part(fresh.num_rows, largest))
