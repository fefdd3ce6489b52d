"""Tables of the workspace and of the dataset folder: their columns, order and versions.

Rows are joined by key, never by position. A table is sorted by its sort columns before it is written, so that the
same rows give the same bytes whatever order the workers delivered them in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from contracts.errors import BrokenArtifact, MissingInput
from contracts.header import MADE_BY, check_version
from contracts.publish import draft

_FORMAT, _VERSION, _MADE_BY = b"winnow.format", b"winnow.version", b"winnow.made_by"


@dataclass(frozen=True)
class TableSpec:
    """A table that two steps agree on: its format name, version, columns, sort order and the command that makes it."""

    name: str
    version: int
    schema: pa.Schema
    sort_by: tuple[str, ...]
    made_with: str


def _columns(*columns: tuple[str, pa.DataType]) -> pa.Schema:
    """Columns of a table; a trailing `?` in the name marks a column that may be null."""
    return pa.schema([pa.field(name.rstrip("?"), kind, nullable=name.endswith("?")) for name, kind in columns])


_TEXT, _NAME = pa.string(), pa.dictionary(pa.int32(), pa.string())

CATALOG = TableSpec(
    "winnow.catalog",
    1,
    _columns(
        ("key?", _TEXT),  # null where the bytes could not be read
        ("uri", _TEXT),  # path, archive#member or table#row
        ("source", _NAME),
        ("byte_count?", pa.int64()),
        ("format?", _NAME),
        ("width_px?", pa.int32()),  # as shown: after EXIF orientation
        ("height_px?", pa.int32()),
        ("phash?", pa.uint64()),  # 64-bit DCT hash
        ("status", _NAME),  # ok | quarantined
        ("error?", _TEXT),  # reason code, colon, detail; null when status is ok
    ),
    ("uri",),
    "curate ingest",
)
PAIRS = TableSpec(
    "winnow.pairs",
    1,
    _columns(("key_a", _TEXT), ("key_b", _TEXT), ("cosine", pa.float32())),  # key_a < key_b, each pair once
    ("key_a", "key_b"),
    "curate dedup",
)
GROUPS = TableSpec(
    "winnow.groups",
    1,
    _columns(
        ("key", _TEXT),
        ("group_id", _TEXT),  # key of the kept representative
        ("group_size", pa.int32()),
        ("kept", pa.bool_()),
        ("reason", _TEXT),
    ),
    ("group_id", "key"),
    "curate dedup",
)
RETRIEVAL = TableSpec(
    "winnow.retrieval",
    1,
    _columns(
        ("key", _TEXT),  # the retrieved pool image
        ("seed", _NAME),
        ("mode", _NAME),  # sample | cluster | as_is
        ("query_key?", _TEXT),  # the seed image that brought it (sample mode)
        ("cluster_id?", pa.int32()),  # the cluster that it was drawn from (cluster mode)
        ("cosine", pa.float32()),
        ("rank", pa.int32()),
    ),
    ("key", "query_key", "cluster_id", "rank"),
    "curate retrieve",
)
SELECTION = TableSpec(
    "winnow.selection",
    1,
    _columns(("key", _TEXT), ("kept", pa.bool_()), ("reason", _TEXT), ("step", _NAME)),
    ("key",),
    "curate dedup",
)
OVERRIDES = TableSpec(
    "winnow.overrides",
    1,
    _columns(
        ("key", _TEXT),
        ("action", _NAME),  # keep | drop, and beside it merge | split: at most one of each two per image
        ("into?", _TEXT),  # merge: an image of the group that this image's group joins
        ("note", _TEXT),
        ("at", _TEXT),  # UTC, ISO 8601 with microseconds: merges and splits take effect in this order
    ),
    ("key", "action"),
    "curate explore",
)
MANIFEST = TableSpec(
    "winnow.manifest",
    1,
    _columns(
        ("key", _TEXT),
        ("shard", pa.int32()),
        ("row", pa.int32()),
        ("width_px", pa.int32()),
        ("height_px", pa.int32()),
        ("byte_count", pa.int64()),
        ("source", _NAME),
        ("origin", _NAME),  # seed | retrieved | balanced | pool
        ("seed?", _NAME),
        ("query_key?", _TEXT),
        ("cosine?", pa.float32()),
        ("group_id?", _TEXT),
    ),
    ("shard", "row"),
    "curate build",
)
TABLES: dict[str, TableSpec] = {
    spec.name: spec for spec in (CATALOG, PAIRS, GROUPS, RETRIEVAL, SELECTION, OVERRIDES, MANIFEST)
}


def conform(table: pa.Table, spec: TableSpec) -> pa.Table:
    """Columns in the agreed order and types. Errors: ValueError for missing, additional or null columns (our bug)."""
    if set(table.column_names) != set(spec.schema.names):
        raise ValueError(f"{spec.name} has columns {table.column_names}, wanted {spec.schema.names}")
    return table.select(spec.schema.names).cast(spec.schema).unify_dictionaries()


def write_table(path: Path | str, table: pa.Table, spec: TableSpec) -> None:
    """Check, sort and publish a table as Parquet (zstd) with its format and version in the file's metadata."""
    whole = conform(table, spec).combine_chunks()
    by = [(name, "ascending") for name in spec.sort_by]
    whole = whole.take(pc.sort_indices(_plain(whole.select(list(spec.sort_by))), sort_keys=by))
    metadata = {_FORMAT: spec.name.encode(), _VERSION: str(spec.version).encode(), _MADE_BY: MADE_BY.encode()}
    whole = _plain(whole).replace_schema_metadata(metadata)
    with draft(path) as rough:
        pq.write_table(whole, rough, compression="zstd", row_group_size=1 << 18, use_dictionary=True)


def read_table(path: Path | str, spec: TableSpec, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a published table, memory-mapped, some columns only if asked.

    Errors: MissingInput (names the command that makes it), BrokenArtifact (cut short, other format, missing column),
    NewerVersion.
    """
    file = Path(path)
    if not file.is_file():
        raise MissingInput(f"{file} is not there: make it with `{spec.made_with}`")
    try:
        metadata = pq.read_schema(file).metadata or {}
        found = metadata.get(_FORMAT, b"no winnow table").decode()
        if found != spec.name:
            raise BrokenArtifact(f"{file} holds {found!r} where {spec.name!r} was wanted")
        version = metadata.get(_VERSION, b"0").decode()
        check_version(int(version) if version.isdigit() else version, spec.version, file)
        table = pq.read_table(file, columns=list(columns) if columns is not None else None, memory_map=True)
    except (pa.ArrowInvalid, OSError) as error:
        detail = str(error).splitlines()[0]
        raise BrokenArtifact(f"{file} cannot be read ({detail}): remove it and run `{spec.made_with}` again") from None
    wanted = spec.schema.names if columns is None else list(columns)
    missing = [name for name in wanted if name not in table.column_names]
    if missing:
        raise BrokenArtifact(f"{file} lacks the column {missing[0]!r}: run `{spec.made_with}` again")
    return table.select(wanted)


def empty_table(spec: TableSpec) -> pa.Table:
    """A table of the agreed columns without rows."""
    return spec.schema.empty_table()


def _plain(table: pa.Table) -> pa.Table:
    """Dictionary columns as plain text: Parquet encodes them itself, and the bytes depend on the rows alone."""
    for position, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            column = table.column(position).cast(field.type.value_type)
            table = table.set_column(position, pa.field(field.name, field.type.value_type, field.nullable), column)
    return table
