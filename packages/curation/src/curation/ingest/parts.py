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

from curation.ingest.known import Known
from curation.sources.download.store import store_file
from curation.sources.listing import Listing
from curation.sources.origins import Archive, Files, Origin, Refused, TableRows, UrlRows
from curation.sources.uri import file_uri

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
    known = Known(known_uris, downloads)
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


def _origins(listing: Listing, known: Known, chunk: int, url_rows: int, downloads: Path) -> Iterator[Origin]:
    files = known.fresh(listing.files)
    for start in range(0, len(files), chunk):
        # Copied, so that a part does not carry the whole listing when it is sent to a worker.
        yield Files(pa.concat_arrays([files.slice(start, chunk)]))
    yield from (
        _whole(listing, known, chunk, url_rows, downloads)
        if not listing.restricted
        else _chosen(listing, known, chunk, url_rows, downloads)
    )
    refused = tuple(one for one in listing.refused if len(known.fresh(pa.array([file_uri(one[0])]))))
    if refused:
        yield Refused(refused)


def _whole(listing: Listing, known: Known, chunk: int, url_rows: int, downloads: Path) -> Iterator[Origin]:
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


def _chosen(listing: Listing, known: Known, chunk: int, url_rows: int, downloads: Path) -> Iterator[Origin]:
    """What a subset names: samples and rows one by one, so that a larger subset later brings only what is new."""
    for archive, description in listing.archives:
        samples = known.fresh_samples(archive, description, listing.samples[archive])
        if len(samples):
            yield Archive(archive, description, samples)
    for table, _ in listing.tables:
        rows = known.fresh_rows(table, listing.rows[table])
        for start, stop in _ranges(len(rows), chunk):
            some = rows[start:stop]
            yield TableRows(table, int(some[0]), int(some[-1]) + 1, tuple(some.tolist()))
    for table, _ in listing.url_tables:
        rows = known.fresh_rows(table, listing.rows[table])
        for start, stop in _ranges(len(rows), url_rows):
            chosen = tuple(rows[start:stop].tolist())
            store = store_file(downloads, table, chosen[0], chosen[-1] + 1, chosen)
            yield UrlRows(table, chosen[0], chosen[-1] + 1, str(store), chosen)


def _ranges(rows: int, step: int) -> Iterator[tuple[int, int]]:
    for start in range(0, rows, step):
        yield start, min(start + step, rows)
