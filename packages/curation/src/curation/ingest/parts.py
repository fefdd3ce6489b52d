"""Which offered images go into which part of the catalogue.

A function of the listing and of what the catalogue holds: chunks of fixed size are cut from what is not catalogued yet,
and take the lowest free numbers. Since published parts are whole chunks, a rerun after a kill cuts the same chunks and
ends with the same bytes; files that are added later make new parts, and nothing is read twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from curation.sources.download.store import store_file
from curation.sources.listing import Listing
from curation.sources.origins import Archive, Files, Origin, Refused, TableRows, UrlRows
from curation.sources.uri import escape, file_uri, member_uri

SMALLEST_PART = 128
PARTS_OF_A_SMALL_POOL = 16


@dataclass(frozen=True)
class IngestPart:
    """One part of the catalogue: its number, the source it belongs to, and where its images are."""

    number: int
    source: str
    origin: Origin


@dataclass(frozen=True)
class PartSizes:
    """`rows`: loose files or table rows per part at most; `url_rows`: addresses per part."""

    rows: int
    url_rows: int


def plan_parts(
    listings: Sequence[Listing], known_uris: pa.Array, used_numbers: set[int], sizes: PartSizes, downloads: Path
) -> list[IngestPart]:
    """Parts that are not catalogued yet. `known_uris`: the uri column of the catalogue; `downloads`: where to."""
    chunk = chunk_size(listings, sizes.rows)
    known = Known(known_uris)
    free = (number for number in count() if number not in used_numbers)
    parts: list[IngestPart] = []
    for listing in listings:
        found = _origins(listing, known, chunk, sizes.url_rows, downloads)
        parts.extend(IngestPart(next(free), listing.source, origin) for origin in found)
        known.add(listing)
    return parts


def chunk_size(listings: Sequence[Listing], largest: int) -> int:
    """Loose files or rows per part: `largest`, or less for small pools. Depends on what is offered alone."""
    offered = sum(len(one.files) + sum(rows for _, rows in one.tables) for one in listings)
    return min(largest, max(SMALLEST_PART, -(-offered // PARTS_OF_A_SMALL_POOL)))


class Known:
    """What the catalogue holds, and what an earlier source of the same call offers."""

    def __init__(self, uris: pa.Array) -> None:
        inside = uris.filter(pc.match_substring(uris, "#"))
        containers = pc.list_element(pc.split_pattern(inside, "#", max_splits=1), 0)
        self._containers = set(pc.unique(containers).to_pylist())
        self._uris = uris

    def add(self, listing: Listing) -> None:
        """What this source offers is offered."""
        self._uris = pa.concat_arrays([self._uris, listing.files])
        self._containers |= {escape(path) for path, _ in [*listing.archives, *listing.tables, *listing.url_tables]}

    def fresh(self, uris: pa.Array) -> pa.Array:
        """Uris that are not known yet."""
        return uris.filter(pc.invert(pc.is_in(uris, value_set=self._uris)))

    def has(self, container: str) -> bool:
        """Whether an archive or table is known at all."""
        return escape(container) in self._containers

    def has_row(self, table: str, rows: Sequence[int]) -> bool:
        """Whether one of these rows of a table is known."""
        if escape(table) not in self._containers:
            return False
        asked = pa.array([member_uri(table, row) for row in rows])
        return bool(pc.any(pc.is_in(asked, value_set=self._uris)).as_py())


def _origins(listing: Listing, known: Known, chunk: int, url_rows: int, downloads: Path) -> Iterator[Origin]:
    files = known.fresh(listing.files)
    for start in range(0, len(files), chunk):
        # Copied, so that a part does not carry the whole listing when it is sent to a worker.
        yield Files(pa.concat_arrays([files.slice(start, chunk)]))
    for archive, description in listing.archives:
        if not known.has(archive):
            yield Archive(archive, description)
    for table, rows in listing.tables:
        for start, stop in _ranges(rows, chunk):
            if not known.has_row(table, (start, stop - 1)):
                yield TableRows(table, start, stop)
    for table, rows in listing.url_tables:
        for start, stop in _ranges(rows, url_rows):
            store = str(store_file(downloads, table, start, stop))
            if not (known.has(store) or known.has_row(table, (start, stop - 1))):
                yield UrlRows(table, start, stop, store)
    refused = tuple(one for one in listing.refused if len(known.fresh(pa.array([file_uri(one[0])]))))
    if refused:
        yield Refused(refused)


def _ranges(rows: int, step: int) -> Iterator[tuple[int, int]]:
    for start in range(0, rows, step):
        yield start, min(start + step, rows)
