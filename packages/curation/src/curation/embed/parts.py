"""Which images go into which part: a function of the catalogue and of what earlier runs finished.

A rerun after a kill cuts the same parts, so that published ones are found again and the store ends with the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

# Small pools are cut finer than the settings say, so that every core gets a share.
SMALLEST_PART = 64
PARTS_OF_A_SMALL_POOL = 16


@dataclass(frozen=True)
class EmbedPart:
    """One part to embed: its number in the store, the keys and where their bytes are."""

    number: int
    keys: tuple[str, ...]
    uris: tuple[str, ...]


def rows_per_part(images: int, largest: int) -> int:
    """Part size: `largest`, or less for small pools. It depends on the number of images alone."""
    return min(largest, max(SMALLEST_PART, -(-images // PARTS_OF_A_SMALL_POOL)))


def plan_parts(images: pa.Table, done_keys: pa.Array, first_number: int, largest: int) -> list[EmbedPart]:
    """Parts over the images whose key is not done, in order of key. `images` has columns key, uri, sorted by key."""
    fresh = images.filter(pc.invert(pc.is_in(images.column("key"), value_set=done_keys)))
    step = rows_per_part(fresh.num_rows, largest)
    parts = []
    for index, start in enumerate(range(0, fresh.num_rows, step)):
        rows = fresh.slice(start, step)
        keys, uris = rows.column("key").to_pylist(), rows.column("uri").to_pylist()
        parts.append(EmbedPart(first_number + index, tuple(keys), tuple(uris)))
    return parts
