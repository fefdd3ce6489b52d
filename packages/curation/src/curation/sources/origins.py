"""Where the images of one part come from, and reading them in order: (uri, bytes or why there are none)."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from contracts.errors import UserError
from curation.decode import BadImage
from curation.sources.archives import iterate_images, sample_key
from curation.sources.download.config import DownloadConfig
from curation.sources.download.store import fill_store, read_store
from curation.sources.filesystem import is_remote, read_file
from curation.sources.tables import open_table, read_columns, read_rows
from curation.sources.tar_members import CutArchive
from curation.sources.uri import file_uri, member_uri, split_uri

_REPEATED = "the archive has an earlier member of this name"
Offered = tuple[str, bytes | BadImage]


@dataclass(frozen=True)
class ReadSettings:
    """How bytes are read. `max_bytes`: a larger file is refused unread."""

    max_bytes: int
    download: DownloadConfig


@dataclass(frozen=True)
class Files:
    """Loose files, by uri."""

    uris: pa.Array


@dataclass(frozen=True)
class Archive:
    """A tar. `description`: img2dataset's or DataComp's table of its samples, or "". `samples`: only these, or all."""

    path: str
    description: str = ""
    samples: pa.Array | None = None


@dataclass(frozen=True)
class TableRows:
    """Rows of a table with image bytes: start..stop, or only `rows` of them (ascending)."""

    path: str
    start: int
    stop: int
    rows: tuple[int, ...] | None = None

    def all(self) -> Sequence[int]:
        """The rows that are meant."""
        return range(self.start, self.stop) if self.rows is None else self.rows


@dataclass(frozen=True)
class UrlRows:
    """Rows of a table of addresses, as of TableRows; `store` is the file that their images are downloaded to."""

    path: str
    start: int
    stop: int
    store: str
    rows: tuple[int, ...] | None = None

    def all(self) -> Sequence[int]:
        """The rows that are meant."""
        return range(self.start, self.stop) if self.rows is None else self.rows


@dataclass(frozen=True)
class Refused:
    """Tables that were found in a folder and hold no images: (path, why)."""

    tables: tuple[tuple[str, str], ...]


Origin = Files | Archive | TableRows | UrlRows | Refused


def offered(origin: Origin, settings: ReadSettings) -> Iterator[Offered]:
    """Every image of an origin; what cannot be read is given with its reason, never left out."""
    match origin:
        case Files():
            return _files(origin.uris, settings.max_bytes)
        case Archive():
            return _archive(origin)
        case TableRows():
            return _table(origin)
        case UrlRows():
            return _downloads(origin, settings.download)
        case Refused():
            return ((file_uri(path), BadImage("not_an_image", why)) for path, why in origin.tables)


def _files(uris: pa.Array, max_bytes: int) -> Iterator[Offered]:
    for uri in uris.to_pylist():
        yield uri, read_loose_file(split_uri(uri)[0], max_bytes)


def read_loose_file(path: str, max_bytes: int) -> bytes | BadImage:
    """Bytes of a file of its own; pipes and devices, which may never end, are not opened."""
    try:
        if is_remote(path):
            return read_file(path)
        found = Path(path).stat()
        if not stat.S_ISREG(found.st_mode):
            return BadImage("unreadable", "not a regular file")
        if found.st_size > max_bytes:
            return BadImage("too_large", f"{found.st_size} bytes, limit {max_bytes}")
        return Path(path).read_bytes()
    except OSError as error:
        return BadImage("unreadable", f"{error.strerror or error}")


def _archive(origin: Archive) -> Iterator[Offered]:
    seen, names = set(), set()
    chosen = None if origin.samples is None else frozenset(origin.samples.to_pylist())
    try:
        for member, data in iterate_images(origin.path, chosen):
            if origin.description or chosen is not None:
                seen.add(sample_key(member))
            yield member_uri(origin.path, member), data if member not in names else BadImage("repeated", _REPEATED)
            names.add(member)
    except CutArchive as error:
        # A row for the rest of the archive, so that the loss is counted and named.
        yield member_uri(origin.path, ""), BadImage("truncated", f"the archive cannot be read to its end: {error}")
    if origin.description:
        yield from _described_but_absent(origin.description, seen, chosen)
    elif chosen is not None:
        lost = BadImage("not_downloaded", "the archive has no image of this sample")
        yield from ((member_uri(origin.path, sample), lost) for sample in sorted(chosen - seen))


def _described_but_absent(table: str, seen: set[str], chosen: frozenset[str] | None) -> Iterator[Offered]:
    """Rows of img2dataset's table that have no image in the archive: downloads that failed, members that are gone."""
    row = 0
    try:
        opened = open_table(table)
        columns = [name for name in ("key", "status", "error_message") if name in opened.schema.names]
        if "key" not in columns:
            return
        for some in read_columns(opened, columns, range(sum(opened.group_rows))):
            for found in some.to_pylist():
                if str(found["key"]) not in seen and (chosen is None or str(found["key"]) in chosen):
                    yield member_uri(table, row), BadImage("not_downloaded", _told(found))
                row += 1
    except (pa.ArrowInvalid, OSError, UserError) as error:
        yield member_uri(table, row), BadImage("unreadable", f"the table cannot be read on: {error}")


def _told(row: dict[str, object]) -> str:
    words = [str(row[name]) for name in ("status", "error_message") if row.get(name)]
    return ": ".join(words) if words and words != ["success"] else "the archive lacks it"


def _table(origin: TableRows) -> Iterator[Offered]:
    chosen = None if origin.rows is None else frozenset(origin.rows)
    row = origin.start
    try:
        for data in read_rows(origin.path, range(origin.start, origin.stop)):
            if chosen is None or row in chosen:
                yield member_uri(origin.path, row), data or BadImage("empty", "the cell holds no bytes")
            row += 1
    except (pa.ArrowInvalid, OSError, ValueError, UserError) as error:
        lost = BadImage("unreadable", f"the table cannot be read on: {error}")
        yield from ((member_uri(origin.path, left), lost) for left in origin.all() if left >= row)


def _downloads(origin: UrlRows, settings: DownloadConfig) -> Iterator[Offered]:
    store = Path(origin.store)
    try:
        fill_store(store, origin.path, origin.all(), settings)
    except (pa.ArrowInvalid, OSError, UserError) as error:
        lost = BadImage("unreadable", f"the table cannot be read: {error}")
        yield from ((member_uri(origin.path, row), lost) for row in origin.all())
        return
    for row, data in enumerate(read_store(origin.store)):
        yield member_uri(origin.store, row), data
