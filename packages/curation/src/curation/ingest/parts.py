"""Which offered images go into which part of the catalogue.

A function of the listing and of what the catalogue holds: chunks of fixed size are cut from what is not catalogued yet,
and take the lowest free numbers. Since published parts are whole chunks, a rerun after a kill cuts the same chunks and
ends with the same bytes; files that are added later make new parts, and nothing is read twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from curation.sources.listing import Listing
from curation.sources.uri import escape, file_uri

SMALLEST_PART = 128
PARTS_OF_A_SMALL_POOL = 16


@dataclass(frozen=True)
class IngestPart:
    """One part: some loose files, one archive, or a range of rows of one table."""

    number: int
    source: str
    files: tuple[str, ...] = ()
    archive: str = ""
    table: str = ""
    rows: tuple[int, int] = (0, 0)


def chunk_size(listings: Sequence[Listing], largest: int) -> int:
    """Loose files or rows per part: `largest`, or less for small pools. Depends on what is offered alone."""
    offered = sum(len(one.files) + sum(rows for _, rows in one.tables) for one in listings)
    return min(largest, max(SMALLEST_PART, -(-offered // PARTS_OF_A_SMALL_POOL)))


def plan_parts(
    listings: Sequence[Listing], known_uris: pa.Array, used_numbers: set[int], largest: int
) -> list[IngestPart]:
    """Parts that are not catalogued yet. `known_uris`: the uri column of the catalogue."""
    chunk = chunk_size(listings, largest)
    known_containers = _containers(known_uris)
    numbers = _free_numbers(used_numbers)
    parts: list[IngestPart] = []
    for listing in listings:
        parts += [
            IngestPart(next(numbers), listing.source, files=tuple(files))
            for files in _chunks(_fresh(listing.files, known_uris), chunk)
        ]
        parts += [
            IngestPart(next(numbers), listing.source, archive=archive)
            for archive in listing.archives
            if escape(archive) not in known_containers
        ]
        for table, rows in listing.tables:
            for start in range(0, rows, chunk):
                stop = min(start + chunk, rows)
                if not _row_is_known(known_containers.get(escape(table)), start, stop):
                    parts.append(IngestPart(next(numbers), listing.source, table=table, rows=(start, stop)))
    return parts


def _fresh(files: Sequence[str], known_uris: pa.Array) -> list[str]:
    uris = pa.array([file_uri(path) for path in files], pa.string())
    known = pc.is_in(uris, value_set=known_uris).to_pylist() if len(files) else []
    return [path for path, is_known in zip(files, known, strict=True) if not is_known]


def _chunks(files: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(files), size):
        yield files[start : start + size]


def _containers(known_uris: pa.Array) -> dict[str, set[str]]:
    """Escaped path of every catalogued container -> its members or rows that are catalogued."""
    if not len(known_uris):
        return {}
    inside = known_uris.filter(pc.match_substring(known_uris, "#"))
    containers: dict[str, set[str]] = {}
    for uri in inside.to_pylist():
        path, _, member = uri.partition("#")
        containers.setdefault(path, set()).add(member)
    return containers


def _row_is_known(known_rows: set[str] | None, start: int, stop: int) -> bool:
    return known_rows is not None and any(str(row) in known_rows for row in (start, stop - 1))


def _free_numbers(used: set[int]) -> Iterator[int]:
    number = 0
    while True:
        if number not in used:
            yield number
        number += 1
