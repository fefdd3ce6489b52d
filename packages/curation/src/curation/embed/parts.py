"""Which images go into which part: a function of the catalogue and of what earlier runs finished.

A rerun after a kill cuts the same parts, so that published ones are found again and the store ends with the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from curation.sources.reading_order import in_reading_order

# Small pools are cut finer than the settings say, so that every core gets a share.
SMALLEST_PART = 64
PARTS_OF_A_SMALL_POOL = 16


@dataclass(frozen=True)
class EmbedPart:
    """One part to embed: its number in the store, and its images (columns key, uri), a view into those of the pool."""

    number: int
    images: pa.Table

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys, in order."""
        return tuple(self.images.column("key").to_pylist())

    @property
    def uris(self) -> tuple[str, ...]:
        """Where the bytes of each are."""
        return tuple(self.images.column("uri").to_pylist())

    def __reduce__(self) -> tuple[Callable[[int, pa.Buffer], EmbedPart], tuple[int, pa.Buffer]]:
        """What a worker is sent: these rows. (Pickled as it is, a view brings the whole pool along.)"""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, self.images.schema) as writer:
            writer.write_table(self.images)
        return _received, (self.number, sink.getvalue())


def _received(number: int, rows: pa.Buffer) -> EmbedPart:
    return EmbedPart(number, pa.ipc.open_stream(rows).read_all())


def rows_per_part(images: int, largest: int) -> int:
    """Part size: `largest`, or less for small pools. It depends on the number of images alone."""
    return min(largest, max(SMALLEST_PART, -(-images // PARTS_OF_A_SMALL_POOL)))


def plan_parts(images: pa.Table, done_keys: pa.Array, first_number: int, largest: int) -> Sequence[EmbedPart]:
    """Parts over the images whose key is not done, as they lie in their sources. `images` has columns key, uri."""
    fresh = images.select(["key", "uri"]).filter(pc.invert(pc.is_in(images.column("key"), value_set=done_keys)))
    fresh = in_reading_order(fresh).combine_chunks()
    step = rows_per_part(fresh.num_rows, largest)
    starts = range(0, fresh.num_rows, step)
    return [EmbedPart(first_number + index, fresh.slice(start, step)) for index, start in enumerate(starts)]
