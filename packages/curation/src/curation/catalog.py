"""The catalogue: one row per file that was offered, in parts; exact duplicates share a key.

<catalog>/part-00000.parquet    contracts.tables.CATALOG
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from contracts.tables import CATALOG, empty_table, read_table

_PART = re.compile(r"part-(\d{5,})\.parquet")


def part_file(folder: Path, number: int) -> Path:
    """Where a part is published."""
    return folder / f"part-{number:05d}.parquet"


def part_numbers(folder: Path) -> list[int]:
    """Numbers of the published parts, ascending."""
    if not folder.is_dir():
        return []
    return sorted(int(match[1]) for path in folder.iterdir() if (match := _PART.fullmatch(path.name)))


def read_catalog(folder: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """All rows, in order of the parts; some columns only if asked. An empty table if there is no catalogue.

    Errors: BrokenArtifact, NewerVersion.
    """
    wanted = list(columns) if columns is not None else CATALOG.schema.names
    tables = [read_table(part_file(folder, number), CATALOG, wanted) for number in part_numbers(folder)]
    if not tables:
        return empty_table(CATALOG).select(wanted)
    return pa.concat_tables(tables, promote_options="permissive")


_DESCRIBED = ("source", "width_px", "height_px", "byte_count")


def unique_images(folder: Path, columns: Sequence[str] = _DESCRIBED) -> pa.Table:
    """One row per usable key: key, uri and the given columns, sorted by key; of exact copies the first uri stands."""
    table = read_catalog(folder, ["key", "uri", "status", *columns])
    table = table.filter(pc.equal(table.column("status"), "ok")).drop_columns(["status"])
    table = table.sort_by([("key", "ascending"), ("uri", "ascending")])
    if table.num_rows == 0:
        return table
    keys = table.column("key").combine_chunks()
    first = pa.concat_arrays([pa.array([True]), pc.not_equal(keys[1:], keys[:-1])])
    return table.filter(first).combine_chunks()


def reason_counts(errors: pa.ChunkedArray) -> dict[str, int]:
    """Quarantined rows by reason code, most frequent first."""
    present = errors.drop_null()
    if len(present) == 0:
        return {}
    codes = pc.list_element(pc.split_pattern(present.cast(pa.string()), ":", max_splits=1), 0)
    counted = [(row["values"], row["counts"]) for row in pc.value_counts(codes).to_pylist()]
    return dict(sorted(counted, key=lambda pair: (-pair[1], pair[0])))
