"""Downloaded images on disk: Parquet files with image bytes, as Hugging Face datasets writes and reads them.

<downloads>/<table>-<hash>/000000000-000001000.parquet

One row per address, in the table's order: image {bytes, path}, url, table, row, sha256, error. An address that gave no
image has no bytes and an error (`code: detail`). Any tool that reads Parquet with images can read these files.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from contracts.publish import draft
from curation.decode import BadImage
from curation.sources.download.config import DownloadConfig
from curation.sources.download.download import Wanted, download
from curation.sources.tables import open_table, read_columns
from curation.sources.url_tables import sha256_column, url_column

ROWS_PER_GROUP = 64
_FORMAT = {b"winnow.format": b"winnow.downloads", b"winnow.version": b"1"}
_SCHEMA = pa.schema(
    [
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        ("url", pa.string()),
        ("table", pa.string()),
        ("row", pa.int64()),
        ("sha256", pa.string()),
        ("error", pa.string()),
    ],
    metadata=_FORMAT,
)
Result = bytes | BadImage


def store_folder(downloads: Path, table: str) -> Path:
    """Where the images of a table of addresses are kept: a readable name and a hash of the full path."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", PurePosixPath(table).stem).strip("-.")[:60] or "table"
    return downloads / f"{stem}-{hashlib.sha256(table.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"


def store_file(downloads: Path, table: str, start: int, stop: int, rows: Sequence[int] | None = None) -> Path:
    """The file for rows start..stop of a table, or for some of them."""
    some = "" if rows is None else f"-{hashlib.sha256(','.join(map(str, rows)).encode()).hexdigest()[:8]}"
    return store_folder(downloads, table) / f"{start:09d}-{stop:09d}{some}.parquet"


def is_store(schema: pa.Schema) -> bool:
    """Whether a table was written here."""
    return (schema.metadata or {}).get(b"winnow.format") == _FORMAT[b"winnow.format"]


def fill_store(file: Path, table: str, rows: Sequence[int], settings: DownloadConfig) -> None:
    """Download some rows of a table of addresses and publish them, failures included, unless that was done before."""
    if file.is_file():
        return
    asked = _asked(table, rows)
    wanted = [Wanted(one["url"], one["sha256"]) for one in asked]
    _publish(file, asked, set(), download(wanted, settings))


def refill_store(file: Path, settings: DownloadConfig) -> int:
    """Try the failures of a store again and publish it anew. Returns how many of them have bytes now."""
    asked = pq.read_table(file, columns=["url", "table", "row", "sha256", "error"]).to_pylist()
    failed = [position for position, row in enumerate(asked) if row["error"] is not None]
    if not failed:
        return 0
    again = download([Wanted(asked[p]["url"], asked[p]["sha256"]) for p in failed], settings)
    kept = set(range(len(asked))) - set(failed)
    return _publish(file, asked, kept, ((failed[n], result) for n, result in again))


def read_store(file: str) -> Iterator[Result]:
    """Bytes of every row, or why there are none."""
    table = open_table(file)
    for some in read_columns(table, ["image", "error"], range(sum(table.group_rows))):
        for row in some.to_pylist():
            yield row["image"]["bytes"] if row["error"] is None else _bad(row["error"])


def _bad(error: str) -> BadImage:
    code, _, detail = error.partition(": ")
    return BadImage(code, detail)


def _asked(table: str, rows: Sequence[int]) -> list[dict[str, Any]]:
    opened = open_table(table)
    url, sha256 = url_column(opened.schema), sha256_column(opened.schema)
    columns = [name for name in (url, sha256) if name is not None]
    found = {}
    place = min(rows, default=0)
    for some in read_columns(opened, columns, range(place, max(rows, default=-1) + 1)):
        for row in some.to_pylist():
            found[place] = {"url": row.get(url), "table": table, "row": place, "sha256": row.get(sha256)}
            place += 1
    return [found[row] for row in rows]


def _publish(
    file: Path, asked: Sequence[Mapping[str, Any]], kept: set[int], fresh: Iterator[tuple[int, Result]]
) -> int:
    """Write a store: rows `kept` of its older state, and fresh results, which wait on disk until all are there."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=file.parent) as spool:
        places: dict[int, tuple[int, int]] = {}
        errors: dict[int, str] = {}
        for position, result in fresh:
            if isinstance(result, BadImage):
                errors[position] = str(result)
            else:
                places[position] = (spool.tell(), len(result))
                spool.write(result)
        old = read_store(str(file)) if kept else iter(())
        with draft(file) as rough, pq.ParquetWriter(rough, _SCHEMA, compression="none") as writer:
            for start in range(0, len(asked), ROWS_PER_GROUP):
                rows = []
                for position in range(start, min(start + ROWS_PER_GROUP, len(asked))):
                    before = next(old, None)
                    data = before if position in kept else _spooled(spool, places.get(position))
                    rows.append(_row(asked[position], data, errors.get(position)))
                writer.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA))
    return len(places)


def _spooled(spool: BinaryIO, place: tuple[int, int] | None) -> bytes | None:
    if place is None:
        return None
    spool.seek(place[0])
    return spool.read(place[1])


def _row(asked: Mapping[str, Any], data: Any, error: str | None) -> dict[str, Any]:
    name = PurePosixPath(str(asked["url"] or "").partition("?")[0]).name[:100] or None
    return {
        "image": {"bytes": data, "path": name},
        "url": asked["url"],
        "table": asked["table"],
        "row": asked["row"],
        "sha256": asked["sha256"],
        "error": error,
    }
