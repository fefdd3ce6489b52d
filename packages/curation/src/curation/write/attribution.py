"""Which seed set and which query an image is credited to, when several brought it: each image once.

As it is before retrieved by a query before drawn from a cluster before balanced sampling; then the highest cosine; then
the seed's name and the query's key. So the parts of the composition table add up to the number of images.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from contracts.tables import RETRIEVAL, empty_table

MODES: tuple[str, ...] = ("as_is", "sample", "cluster", "balanced")
ORIGINS: dict[str, str] = {"as_is": "seed", "sample": "retrieved", "cluster": "retrieved", "balanced": "balanced"}
_COLUMNS = ("key", "seed", "mode", "query_key", "cosine")


def attribute(retrievals: Sequence[pa.Table]) -> pa.Table:
    """One row per key that any seed brought: key, seed, mode, query_key, cosine. Input: tables of RETRIEVAL."""
    plain = [_plain(table) for table in retrievals] or [_plain(empty_table(RETRIEVAL))]
    rows = pa.concat_tables(plain)
    place = pc.index_in(rows.column("mode"), value_set=pa.array(MODES))
    rows = rows.append_column("place", place).append_column("far", pc.negate(rows.column("cosine")))
    by = ["key", "place", "far", "seed", "query_key"]
    rows = rows.sort_by([(name, "ascending") for name in by])
    columns = [name for name in _COLUMNS if name != "key"]
    # hash_first skips nulls unless told not to: the query of the winning row may be null.
    first = pc.ScalarAggregateOptions(skip_nulls=False, min_count=0)
    best = rows.group_by("key", use_threads=False).aggregate([(name, "first", first) for name in columns])
    return pa.table({"key": best.column("key"), **{name: best.column(f"{name}_first") for name in columns}})


def _plain(table: pa.Table) -> pa.Table:
    """The columns that attribution needs, as plain text and numbers."""
    arrays = []
    for name in _COLUMNS:
        column = table.column(name)
        arrays.append(column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column)
    return pa.table(dict(zip(_COLUMNS, arrays, strict=True)))
