"""One worker of the ingest step: reads, checks and describes the images of a part, and publishes its table."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.keys import key_of_bytes
from contracts.tables import CATALOG, write_table
from curation.catalog import part_file
from curation.decode import BadImage, DecodeLimits, open_image
from curation.ingest.config import IngestConfig
from curation.ingest.parts import IngestPart
from curation.ingest.phash import SIDE_PX, phash_many, small_grey
from curation.sources.origins import Offered, ReadSettings, offered

DECODED_SIDE_PX = 2 * SIDE_PX
HASHES_AT_ONCE = 512
_COLUMNS = ("key", "uri", "byte_count", "format", "width_px", "height_px", "error")


@dataclass(frozen=True)
class PartCounts:
    """What one part holds. `reasons`: quarantined images by reason code."""

    offered: int
    byte_count: int
    reasons: dict[str, int]


def make_worker(catalog_folder: str, settings: IngestConfig) -> Callable[[IngestPart], PartCounts]:
    """Built once per worker."""
    import cv2

    cv2.setNumThreads(1)  # the workers themselves are what runs at once
    read = ReadSettings(settings.limits.max_bytes, settings.download)

    def work(part: IngestPart) -> PartCounts:
        read_ns = time.time_ns()
        table = catalogue(offered(part.origin, read), part.source, settings.limits)
        return publish_part(table, Path(catalog_folder), part.number, read_ns)

    return work


def publish_part(table: pa.Table, catalog_folder: Path, number: int, read_ns: int) -> PartCounts:
    """Publish a part and count it. `read_ns`: when reading began, kept as the file's mtime (ingest.gone_or_changed)."""
    write_table(part_file(catalog_folder, number), table, CATALOG)
    os.utime(part_file(catalog_folder, number), ns=(read_ns, read_ns))
    reasons = Counter(error.partition(":")[0] for error in table.column("error").drop_null().to_pylist())
    return PartCounts(table.num_rows, sum(table.column("byte_count").drop_null().to_pylist()), dict(reasons))


def catalogue(images: Iterable[Offered], source: str, limits: DecodeLimits) -> pa.Table:
    """Describe images: a row each, in the columns of contracts.tables.CATALOG."""
    rows = _Rows()
    for uri, data in images:
        rows.add(uri, data, limits)
    return rows.table(source)


class _Rows:
    """Columns that grow a row at a time; pictures wait for their hash in blocks."""

    def __init__(self) -> None:
        self._lists: list[list[Any]] = [[] for _ in _COLUMNS]
        self._waiting: list[NDArray[np.uint8]] = []
        self._hashes: list[NDArray[np.uint64]] = []

    def add(self, uri: str, data: bytes | BadImage, limits: DecodeLimits) -> None:
        key = size = form = width = height = error = None
        try:
            if isinstance(data, BadImage):
                raise data
            key, size = key_of_bytes(data), len(data)
            if size > limits.max_bytes:
                raise BadImage("too_large", f"{size} bytes, limit {limits.max_bytes}")
            opened = open_image(data, limits)
            form, width, height = opened.format, opened.width_px, opened.height_px
            self._waiting.append(small_grey(opened.grey(DECODED_SIDE_PX)))
            if len(self._waiting) == HASHES_AT_ONCE:
                self._hash()
        except BadImage as bad:
            error = str(bad)
        for values, value in zip(self._lists, (key, uri, size, form, width, height, error), strict=True):
            values.append(value)

    def _hash(self) -> None:
        if self._waiting:
            self._hashes.append(phash_many(np.stack(self._waiting)))
            self._waiting = []

    def table(self, source: str) -> pa.Table:
        self._hash()
        columns = {
            name: pa.array(values, _plain_type(name)) for name, values in zip(_COLUMNS, self._lists, strict=True)
        }
        error = columns["error"]
        usable = error.is_null().to_numpy(zero_copy_only=False)
        hashes = np.zeros(len(usable), np.uint64)
        hashes[usable] = np.concatenate(self._hashes) if self._hashes else 0
        columns["source"] = pa.repeat(source, len(usable))
        columns["phash"] = pa.array(hashes, pa.uint64(), mask=~usable)
        columns["status"] = pa.array(np.where(usable, "ok", "quarantined"), pa.string())
        return pa.table({name: columns[name] for name in CATALOG.schema.names})


def _plain_type(column: str) -> pa.DataType:
    kind = CATALOG.schema.field(column).type
    return kind.value_type if pa.types.is_dictionary(kind) else kind
