"""The ids that images had where they come from (DataComp's uid): of the samples of an archive, of the rows of a table.

They stand in the JSON beside each image of a DataComp tar, in the table that img2dataset writes beside its tars, or in
a column of the table itself; images that were downloaded by address have those of the table of addresses.
"""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.compute as pc

from contracts.errors import UserError
from curation.sources.archives import sample_key
from curation.sources.download.store import is_store
from curation.sources.filesystem import is_file, open_file
from curation.sources.kinds import is_archive, is_table
from curation.sources.tables import ImageTable, open_table, read_columns, row_count
from curation.sources.tar_members import CutArchive, walk_members
from curation.sources.uri import split_uri

UID = "uid"
_LARGEST_JSON_BYTES = 1 << 20


def beside(archive: str) -> str:
    """The table that describes the samples of an archive, or "" where there is none."""
    table = f"{archive.rpartition('.')[0]}.parquet"
    return table if is_file(table) else ""


def archive_ids(archive: str, column: str = UID) -> pa.Table:
    """Ids of an archive's samples: columns sample (WebDataset's key of it) and id; a row for each that has one.

    From the table beside it; DataComp's uid also from the samples' JSON. An archive that cannot be read has none.
    """
    table = beside(archive)
    try:
        if table:
            opened = open_table(table)
            if {"key", column} <= set(opened.schema.names):
                found = pa.concat_tables(read_columns(opened, ["key", column], range(row_count(opened))))
                rows = pa.table({"sample": text(found.column("key")), "id": text(found.column(column))})
                return rows.filter(pc.is_valid(rows.column("id")))
        samples, ids = _from_json(archive) if column == UID else ([], [])
    except (OSError, CutArchive, pa.ArrowInvalid, UserError):
        samples, ids = [], []
    return pa.table({"sample": pa.array(samples, pa.string()), "id": pa.array(ids, pa.string())})


def table_ids(path: str, column: str = UID) -> pa.ChunkedArray | None:
    """Ids of a table's rows, in order; None where it has no such column or cannot be read."""
    try:
        opened = open_table(path)
        if is_store(opened.schema):
            return _of_downloads(opened, column)
        if column not in opened.schema.names or not row_count(opened):
            return None
        found = pa.concat_tables(read_columns(opened, [column], range(row_count(opened))))
        return text(found.column(column))
    except (OSError, pa.ArrowInvalid, UserError):
        return None


def samples_of(uris: pa.Array) -> pa.Array:
    """`archive.tar#a/000012.jpg` -> `a/000012`; null for what is not in an archive. Shapes: [N] -> [N]."""
    members = pc.struct_field(pc.extract_regex(uris, r"\.[tT][aA][rR]#(?P<member>.+)$"), "member")
    return pc.replace_substring_regex(members, r"^((?:.*/)?[^/.]+)\.[^/]*$", r"\1")


def ids_of(uris: pa.Array, column: str = UID) -> pa.Array:
    """The ids of images by their uris; null for those that have none. Each archive and table is read once."""
    inside = pc.match_substring(uris, "#")
    containers = pc.list_element(pc.split_pattern(pc.if_else(inside, uris, "#"), "#", max_splits=1), 0)
    order = pc.sort_indices(containers)
    runs = pc.run_end_encode(containers.take(order)) if len(uris) else None
    found = [pa.array([], pa.string())]
    start = 0
    for container, stop in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True) if runs else ():
        mine = uris.take(order.slice(start, stop - start))
        found.append(_ids_in(container, mine, column) if container else pa.nulls(len(mine), pa.string()))
        start = stop
    return pa.concat_arrays(found).take(pc.sort_indices(order))


def _ids_in(container: str, uris: pa.Array, column: str) -> pa.Array:
    path = split_uri(container)[0]
    if is_archive(path):
        table = archive_ids(path, column)
        at = pc.index_in(samples_of(uris), value_set=table.column("sample").combine_chunks(), skip_nulls=True)
        return table.column("id").combine_chunks().take(at)
    ids = table_ids(path, column) if is_table(path) else None
    if ids is None:
        return pa.nulls(len(uris), pa.string())
    rows = pc.list_element(pc.split_pattern(uris, "#", max_splits=1), 1).cast(pa.int64())
    return ids.combine_chunks().take(pc.if_else(pc.less(rows, len(ids)), rows, None))


def text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column as text, whatever it was stored as; nulls where it holds neither text nor whole numbers."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind):
        return column.cast(kind).cast(pa.string())
    return pa.chunked_array([pa.nulls(len(column), pa.string())])


def _from_json(archive: str) -> tuple[list[str], list[str]]:
    samples, ids = [], []
    with open_file(archive) as handle:
        try:
            for member in walk_members(handle):
                if member.name.endswith(".json") and member.size <= _LARGEST_JSON_BYTES:
                    handle.seek(member.offset)
                    uid = uid_of(handle.read(member.size))
                    if uid is not None:
                        samples.append(sample_key(member.name))
                        ids.append(uid)
        except CutArchive:
            pass  # what lies before the cut counts
    return samples, ids


def uid_of(data: bytes) -> str | None:
    """The uid in a sample's JSON, or None."""
    try:
        values = json.loads(data)
    except (UnicodeDecodeError, json.JSONDecodeError):
        return None
    uid = values.get(UID) if isinstance(values, dict) else None
    return uid if isinstance(uid, str) else None


def _of_downloads(store: ImageTable, column: str) -> pa.ChunkedArray | None:
    """Ids of the rows of the table of addresses from which the images of a store were downloaded."""
    asked = pa.concat_tables(read_columns(store, ["table", "row"], range(row_count(store))))
    origins = pc.unique(asked.column("table")).to_pylist()
    if len(origins) != 1:
        return None
    found = table_ids(origins[0], column)
    return None if found is None else found.take(asked.column("row"))
