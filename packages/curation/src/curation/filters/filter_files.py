"""Tables of the filter step.

filters/part-00000.parquet   values of a part, while the step is under way
filters.parquet              a row per measured key: its values, those of model filters, kept, reason
filters.json                 report of the step that judged last, with its bounds
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from contracts.errors import UserError
from contracts.tables import TableSpec, read_table
from curation.filters.table import MEASURES

# To be raised when a function of filters/table.py gives other values for the same image.
MEASURES_VERSION = 1


def _values(*, nullable: bool) -> list[pa.Field]:
    return [pa.field(name, pa.float64(), nullable=nullable) for name in MEASURES]


_KEY = pa.field("key", pa.string(), nullable=False)
PART = TableSpec(
    "winnow.filter-values", MEASURES_VERSION, pa.schema([_KEY, *_values(nullable=True)]), ("key",), "curate filter"
)
FILTERS = TableSpec(
    "winnow.filters",
    MEASURES_VERSION,
    pa.schema(
        [_KEY, *_values(nullable=False), pa.field("kept", pa.bool_(), nullable=False), pa.field("reason", pa.string())]
    ),
    ("key",),
    "curate filter",
)


def with_scores(names: Iterable[str]) -> TableSpec:
    """The table of verdicts with a column for every model filter, null where an image has no value."""
    schema = FILTERS.schema
    for name in names:
        schema = schema.insert(len(schema) - 2, pa.field(name, pa.float64()))
    return replace(FILTERS, schema=schema)


def read_values(file: Path, spec: TableSpec) -> pa.Table:
    """Keys and values on disk; no rows when they are not there, or of other filters than there are now."""
    none = PART.schema.empty_table()
    if not file.is_file():
        return none
    try:
        table = read_table(file, spec, ["key", *MEASURES])
        if _version(file) != str(MEASURES_VERSION):
            return none
    except UserError:
        return none
    return table.cast(PART.schema)


def _version(file: Path) -> str:
    import pyarrow.parquet as pq

    return str((pq.read_schema(file).metadata or {}).get(b"winnow.version", b"").decode())


def read_filtered(file: Path) -> pa.Table | None:
    """Keys that are filtered out, with the reason; None before the first `curate filter`. Errors: BrokenArtifact."""
    if not file.is_file():
        return None
    table = read_table(file, FILTERS, ["key", "kept", "reason"])
    return table.filter(pc.invert(table.column("kept"))).drop_columns(["kept"])


def filtered_keys(file: Path) -> pa.Array:
    """Keys that are filtered out, none before the first `curate filter`."""
    found = read_filtered(file)
    return pa.array([], pa.string()) if found is None else found.column("key").combine_chunks()
