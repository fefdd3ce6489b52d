"""One worker of the filter step: reads, decodes once and measures the images of a part, and publishes their values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from contracts.keys import key_of_bytes
from contracts.tables import write_table
from curation.catalog import part_file
from curation.decode import BadImage, DecodeLimits
from curation.filters.filter_files import PART
from curation.filters.picture import picture_of
from curation.filters.table import MEASURES
from curation.sources.image_part import ImagePart
from curation.sources.read_bytes import read_bytes


def make_worker(folder: str, limits: DecodeLimits) -> Callable[[ImagePart], int]:
    """Built once per worker."""

    def work(part: ImagePart) -> int:
        return measure_part(part, Path(folder), limits)

    return work


def measure_part(part: ImagePart, folder: Path, limits: DecodeLimits) -> int:
    """Publish the values of a part; null for an image that cannot be read any more. Returns how many were measured."""
    rows: list[list[float | None]] = []
    keys, sizes = part.keys, zip(part.column("width_px"), part.column("height_px"), strict=True)
    for key, data, (width, height) in zip(keys, read_bytes(part.uris), sizes, strict=True):
        rows.append(_values(key, data, (width, height), limits))
    columns = {name: pa.array([row[i] for row in rows], pa.float64()) for i, name in enumerate(MEASURES)}
    write_table(part_file(folder, part.number), pa.table({"key": pa.array(keys, pa.string()), **columns}), PART)
    return sum(row[0] is not None for row in rows)


def _values(key: str, data: bytes, size: tuple[int, int], limits: DecodeLimits) -> list[float | None]:
    if key_of_bytes(data) != key:
        return [None] * len(MEASURES)
    try:
        picture = picture_of(data, *size, limits)
    except BadImage:
        return [None] * len(MEASURES)
    return [float(measure(picture)) for measure in MEASURES.values()]
