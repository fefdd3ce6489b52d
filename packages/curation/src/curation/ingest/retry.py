"""`curate ingest --retry-failed`: what is in quarantine is read, or downloaded, once more; the rest stays as it is.

Every quarantined row gets its chance: a share that was not mounted, a file that was mended, a limit that was raised, a
server that answers again. Parts are published anew under their own number, so nothing else of the catalogue changes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from contracts.errors import UserError
from contracts.publish import remove_drafts
from contracts.tables import CATALOG, read_table
from curation.catalog import part_file, part_numbers, read_catalog, reason_counts
from curation.decode import BadImage
from curation.engine import Engine
from curation.ingest.catalogue_part import catalogue, publish_part
from curation.ingest.config import IngestConfig
from curation.ingest.ingest import downloads_folder
from curation.sources.download.store import fill_store, is_store, read_store, refill_store, store_file, store_folder
from curation.sources.filesystem import is_file
from curation.sources.kinds import is_archive, is_table
from curation.sources.listing import NO_IMAGES
from curation.sources.original_ids import archive_ids, beside
from curation.sources.origins import Archive, Offered, ReadSettings, TableRows, UrlRows, offered, read_loose_file
from curation.sources.read_bytes import read_bytes
from curation.sources.reading_order import reading_order
from curation.sources.tables import image_column, open_table, row_count
from curation.sources.uid_subset import UidSubset
from curation.sources.uri import member_uri, split_uri
from curation.sources.url_tables import url_column


@dataclass(frozen=True)
class RetryReport:
    """Rows of the catalogue: read again, usable now, and what is still in quarantine by reason code."""

    retried: int
    recovered: int
    quarantined: int
    reasons: dict[str, int]
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)


def retry_failed(catalog_folder: Path, settings: IngestConfig, engine: Engine) -> RetryReport:
    """Read all quarantined rows again. Errors: those of the engine."""
    started = time.perf_counter()
    remove_drafts(catalog_folder)
    waiting = [number for number in part_numbers(catalog_folder) if _quarantined(catalog_folder, number)]
    worker = partial(make_worker, str(catalog_folder), settings)
    found = [counts for _, counts in engine.map_parts(worker, waiting, label="retry")]
    errors = read_catalog(catalog_folder, ["error"]).column("error")
    return RetryReport(
        retried=sum(retried for retried, _ in found),
        recovered=sum(recovered for _, recovered in found),
        quarantined=len(errors) - errors.null_count,
        reasons=reason_counts(errors),
        seconds=round(time.perf_counter() - started, 2),
    )


def _quarantined(folder: Path, number: int) -> bool:
    return bool(pc.any(waits_for_retry(read_table(part_file(folder, number), CATALOG, ["error"]))).as_py())


def waits_for_retry(table: pa.Table) -> pa.ChunkedArray:
    """Which rows are in quarantine for what retrying may mend: not what is gone, nor members of a repeated name."""
    error = table.column("error").cast(pa.string())
    final = pc.match_substring_regex(error, "^(gone|repeated):")
    return pc.and_(pc.is_valid(error), pc.invert(pc.fill_null(final, False)))


def make_worker(catalog_folder: str, settings: IngestConfig) -> Callable[[int], tuple[int, int]]:
    """Built once per worker. The function gives (rows retried, rows recovered) of a part."""

    def work(number: int) -> tuple[int, int]:
        return _retry_part(Path(catalog_folder), number, settings)

    return work


def _retry_part(folder: Path, number: int, settings: IngestConfig) -> tuple[int, int]:
    read_ns, before = time.time_ns(), read_table(part_file(folder, number), CATALOG)
    last_ns = part_file(folder, number).stat().st_mtime_ns
    waits = waits_for_retry(before)
    source = str(before.column("source")[0].as_py())
    bad = before.filter(waits).column("uri").to_pylist()
    cut = [split_uri(uri)[0] for uri in bad if uri.endswith("#")]
    if cut:
        # An archive that broke off is a part of its own, and is read from its beginning.
        kept = before.slice(0, 0)
        images = offered(
            _archive(cut[0], settings.subset_of(source)), ReadSettings(settings.limits.max_bytes, settings.download)
        )
    else:
        kept = before.filter(pc.invert(waits))
        images = _read_again(bad, _Stores(folder, number, settings))
    fresh = catalogue(images, source, settings.limits)
    publish_part(pa.concat_tables([kept, fresh.cast(kept.schema)]), folder, number, read_ns if cut else last_ns)
    return len(bad), fresh.column("error").null_count - (before.num_rows - len(bad) if cut else 0)


def _archive(path: str, subset: str | None) -> Archive:
    if subset is None:
        return Archive(path, beside(path))
    table = archive_ids(path)
    held = UidSubset(subset).holds(table.column("id").combine_chunks())
    return Archive(path, beside(path), table.column("sample").filter(pa.array(held)).combine_chunks())


@dataclass(frozen=True)
class _Stores:
    """Where the rows of one part are downloaded to, and how."""

    catalog_folder: Path
    number: int
    settings: IngestConfig

    @property
    def reading(self) -> ReadSettings:
        return ReadSettings(self.settings.limits.max_bytes, self.settings.download)

    def of_archive(self, table: str) -> Path:
        """For single rows of the description of an archive."""
        return store_folder(downloads_folder(self.catalog_folder), table) / f"failed-{self.number:05d}.parquet"

    def addresses(self, table: str, start: int, stop: int) -> UrlRows:
        """Rows of a table of addresses, where ingest looks for them."""
        return UrlRows(table, start, stop, str(store_file(downloads_folder(self.catalog_folder), table, start, stop)))


def _read_again(uris: Sequence[str], stores: _Stores) -> Iterator[Offered]:
    ordered = sorted(uris, key=reading_order)
    for container, some in groupby(ordered, key=lambda uri: uri.partition("#")[0]):
        path = split_uri(container)[0]
        members = list(some)
        if is_table(path):
            yield from _from_table(path, members, stores)
        elif is_archive(path) and "#" in members[0]:
            yield from _from_reader(members)
        else:
            yield from ((uri, read_loose_file(path, stores.settings.limits.max_bytes)) for uri in members)


def _from_reader(uris: Sequence[str]) -> Iterator[Offered]:
    for uri, data in zip(uris, read_bytes(uris), strict=True):
        yield uri, data or BadImage("unreadable", "there are no bytes under this name")


def _from_table(path: str, uris: Sequence[str], stores: _Stores) -> Iterator[Offered]:
    """Rows of a table, or all of them where the table itself was in quarantine; each uri gets one answer."""
    answered = set()
    try:
        for uri, data in _table_rows(path, uris, stores):
            answered.add(uri)
            yield uri, data
    except (pa.ArrowInvalid, OSError, UserError) as error:
        for uri in uris:
            if uri not in answered:
                yield uri, BadImage("unreadable" if "#" in uri else "not_an_image", str(error))


def _table_rows(path: str, uris: Sequence[str], stores: _Stores) -> Iterator[Offered]:
    """From a table with images, a file of downloads, a table of addresses or the description of an archive."""
    table = open_table(path)
    whole = "#" not in uris[0]
    rows = range(row_count(table)) if whole else [int(split_uri(uri)[1] or 0) for uri in uris]
    if is_store(table.schema):
        refill_store(Path(path), stores.settings.download)
        yield from _from_store(Path(path), rows)
    elif image_column(table.schema) is not None:
        yield from offered(TableRows(path, 0, len(rows)), stores.reading) if whole else _from_reader(uris)
    elif is_file(f"{path.rpartition('.')[0]}.tar"):
        store = stores.of_archive(path)
        fill_store(store, path, rows, stores.settings.download)
        yield from _from_store(store, range(len(rows)))
    elif url_column(table.schema) is not None:
        yield from _from_addresses(path, rows, stores)
    else:
        yield from ((uri, BadImage("not_an_image", NO_IMAGES)) for uri in uris)


def _from_addresses(path: str, rows: Sequence[int], stores: _Stores) -> Iterator[Offered]:
    """Rows of which none was asked for: those of one file of downloads, or of the whole table."""
    step = stores.settings.download.part_rows
    for some in (rows[at : at + step] for at in range(0, len(rows), step)):
        yield from offered(stores.addresses(path, some[0], some[-1] + 1), stores.reading)


def _from_store(store: Path, rows: Sequence[int]) -> Iterator[Offered]:
    wanted = set(rows)
    for row, data in enumerate(read_store(str(store))):
        if row in wanted:
            yield member_uri(store, row), data
