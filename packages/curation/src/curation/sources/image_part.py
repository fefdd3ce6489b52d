"""A part of a pool's images, the unit of work of the steps that read them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from curation.sources.reading_order import in_reading_order


@dataclass(frozen=True)
class ImagePart:
    """Its number and its images (columns key, uri and what the step needs), a view into those of the pool."""

    number: int
    images: pa.Table

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys, in order."""
        return tuple(self.column("key"))

    @property
    def uris(self) -> tuple[str, ...]:
        """Where the bytes of each are."""
        return tuple(self.column("uri"))

    def column(self, name: str) -> list[Any]:
        """Values of a column, in order."""
        values: list[Any] = self.images.column(name).to_pylist()
        return values

    def __reduce__(self) -> tuple[Callable[[int, pa.Buffer], ImagePart], tuple[int, pa.Buffer]]:
        """What a worker is sent: these rows. (Pickled as it is, a view brings the whole pool along.)"""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, self.images.schema) as writer:
            writer.write_table(self.images)
        return _received, (self.number, sink.getvalue())


def _received(number: int, rows: pa.Buffer) -> ImagePart:
    return ImagePart(number, pa.ipc.open_stream(rows).read_all())


def cut_images(images: pa.Table, first_number: int, part_images: int) -> list[ImagePart]:
    """Parts of so many images at most, in the order in which the images lie in their sources."""
    ordered = in_reading_order(images).combine_chunks()
    starts = range(0, ordered.num_rows, part_images)
    return [ImagePart(first_number + place, ordered.slice(start, part_images)) for place, start in enumerate(starts)]
