"""One worker of the ingest step: reads, checks and describes the images of a part, and publishes its table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from contracts.errors import UserError
from contracts.keys import key_of_bytes
from contracts.tables import CATALOG, write_table
from curation.catalog import part_file
from curation.decode import BadImage, DecodeLimits, decode_rgb, probe_image
from curation.ingest.parts import IngestPart
from curation.ingest.phash import phash
from curation.sources.archives import CutArchive, iterate_images
from curation.sources.tables import read_rows
from curation.sources.uri import file_uri, member_uri

HASH_SIDE_PX = 64
Offered = tuple[str, bytes | BadImage]


@dataclass(frozen=True)
class PartCounts:
    """What one part holds. `reasons`: quarantined images by reason code."""

    offered: int
    byte_count: int
    reasons: dict[str, int]


def make_worker(catalog_folder: str, limits: DecodeLimits) -> Callable[[IngestPart], PartCounts]:
    """Built once per worker."""

    def work(part: IngestPart) -> PartCounts:
        return catalogue_part(part, Path(catalog_folder), limits)

    return work


def catalogue_part(part: IngestPart, catalog_folder: Path, limits: DecodeLimits) -> PartCounts:
    """Describe every image of a part and publish the table."""
    rows = [_describe(uri, data, part.source, limits) for uri, data in offered(part)]
    columns = {field.name: [row.get(field.name) for row in rows] for field in CATALOG.schema}
    table = pa.table({name: pa.array(values, _plain_type(name)) for name, values in columns.items()})
    write_table(part_file(catalog_folder, part.number), table, CATALOG)
    reasons = Counter(str(row["error"]).partition(":")[0] for row in rows if row["error"])
    return PartCounts(len(rows), sum(row.get("byte_count") or 0 for row in rows), dict(reasons))


def _plain_type(column: str) -> pa.DataType:
    kind = CATALOG.schema.field(column).type
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def offered(part: IngestPart) -> Iterator[Offered]:
    """(uri, bytes or the reason why they cannot be read) of every image of a part."""
    if part.archive:
        yield from _in_archive(part.archive)
    elif part.table:
        yield from _in_table(part.table, range(*part.rows))
    else:
        for path in part.files:
            yield file_uri(path), _read(path)


def _read(path: str) -> bytes | BadImage:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        return BadImage("unreadable", f"{error.strerror or error}")


def _in_archive(path: str) -> Iterator[Offered]:
    try:
        for member, data in iterate_images(path):
            yield member_uri(path, member), data
    except CutArchive as error:
        # A row for the rest of the archive, so that the loss is counted and named.
        yield member_uri(path, ""), BadImage("truncated", f"the archive cannot be read to its end: {error}")


def _in_table(path: str, rows: range) -> Iterator[Offered]:
    row = rows.start
    try:
        for row, data in zip(rows, read_rows(path, rows), strict=True):
            yield member_uri(path, row), data if data is not None else BadImage("empty", "the cell holds no bytes")
    except (pa.ArrowInvalid, OSError, ValueError, UserError) as error:
        yield member_uri(path, row), BadImage("unreadable", f"the table cannot be read on: {error}")


def _describe(uri: str, data: bytes | BadImage, source: str, limits: DecodeLimits) -> dict[str, object]:
    row: dict[str, object] = {"uri": uri, "source": source, "status": "quarantined", "error": None}
    if isinstance(data, BadImage):
        return {**row, "error": str(data)}
    row |= {"key": key_of_bytes(data), "byte_count": len(data)}
    try:
        probe = probe_image(data, limits)
        row |= {"format": probe.format, "width_px": probe.width_px, "height_px": probe.height_px}
        row["phash"] = phash(decode_rgb(data, limits, max_side_px=HASH_SIDE_PX))
    except BadImage as bad:
        return {**row, "error": str(bad)}
    return {**row, "status": "ok"}
