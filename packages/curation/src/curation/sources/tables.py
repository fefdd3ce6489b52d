"""Tables with images inside, Parquet or Arrow (as Hugging Face datasets keeps them): which column, and which rows.

Known forms: a struct column with `bytes` (as Hugging Face datasets writes images), or a binary column. Preferred names
come first, so that a table with a thumbnail beside the image gives the image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from contracts.errors import BrokenArtifact, UserError
from curation.sources.filesystem import is_remote, open_filesystem
from curation.sources.kinds import is_arrow

_PREFERRED = ("image", "img", "jpg", "jpeg", "png", "webp", "picture", "bytes", "content")
GROUPS_KEPT = 8


class ImageTable(Protocol):
    """A table in groups of rows, each read at once."""

    schema: pa.Schema
    group_rows: list[int]

    def read_group(self, group: int, columns: Sequence[str]) -> pa.Table:
        """Some columns of one group."""
        ...


class _ParquetTable:
    def __init__(self, path: str) -> None:
        if is_remote(path):
            filesystem, inner = open_filesystem(path)
            self._file = pq.ParquetFile(inner, filesystem=filesystem)
        else:
            self._file = pq.ParquetFile(path, memory_map=True)
        self.schema = self._file.schema_arrow
        metadata = self._file.metadata
        self.group_rows = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]

    def read_group(self, group: int, columns: Sequence[str]) -> pa.Table:
        return self._file.read_row_group(group, columns=list(columns))


class _ArrowTable:
    """An Arrow file or stream (the format of `datasets.save_to_disk`), mapped into memory."""

    def __init__(self, path: str) -> None:
        if is_remote(path):
            filesystem, inner = open_filesystem(path)
            source = filesystem.open_input_file(inner)
        else:
            source = pa.memory_map(path)
        try:
            table = pa.ipc.open_stream(source).read_all()
        except pa.ArrowInvalid:
            source.seek(0)
            table = pa.ipc.open_file(source).read_all()
        self.schema = table.schema
        self._batches = table.to_batches()
        self.group_rows = [batch.num_rows for batch in self._batches]

    def read_group(self, group: int, columns: Sequence[str]) -> pa.Table:
        return pa.Table.from_batches([self._batches[group].select(list(columns))])


def open_table(path: str) -> ImageTable:
    """Open a table. Errors: BrokenArtifact."""
    try:
        return _ArrowTable(path) if is_arrow(path) else _ParquetTable(path)
    except (pa.ArrowInvalid, OSError) as error:
        detail = str(error).splitlines()[0]
        form = "Arrow" if is_arrow(path) else "Parquet"
        raise BrokenArtifact(f"{path} is not a readable {form} file ({detail})") from None


def row_count(table: ImageTable) -> int:
    """Rows of a table."""
    return int(sum(table.group_rows))


def image_column(schema: pa.Schema) -> str | None:
    """Name of the column that holds image bytes, or None."""
    names = [field.name for field in schema if _holds_bytes(field.type)]
    ranked = sorted(names, key=lambda n: (_PREFERRED.index(n.lower()) if n.lower() in _PREFERRED else 99, n))
    return ranked[0] if ranked else None


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return any(field.name == "bytes" and _is_binary(field.type) for field in kind)
    return _is_binary(kind)


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def require_image_column(table: ImageTable, path: str) -> str:
    """Name of the image column. Errors: UserError that lists the columns found."""
    column = image_column(table.schema)
    if column is None:
        found = ", ".join(table.schema.names)
        raise UserError(
            f"{path} has no column with image bytes or urls (found: {found}): wanted is a struct with `bytes`, as "
            "Hugging Face datasets writes it, a binary column, or a text column `url`"
        )
    return column


def read_columns(table: ImageTable, columns: Sequence[str], rows: range) -> Iterator[pa.Table]:
    """Consecutive rows of some columns, a group at a time."""
    first = 0
    for group, count in enumerate(table.group_rows):
        low, high = max(rows.start, first), min(rows.stop, first + count)
        if low < high:
            yield table.read_group(group, columns).slice(low - first, high - low)
        first += count


def read_rows(path: str, rows: range) -> Iterator[bytes | None]:
    """Image bytes of consecutive rows; None where the cell is empty."""
    table = open_table(path)
    column = require_image_column(table, path)
    for some in read_columns(table, [column], rows):
        cells = image_cells(some)
        for position in range(len(cells)):
            yield cells[position].as_py()


def image_cells(table: pa.Table) -> Any:
    """The bytes of a table of one image column, as one array; rows whose struct is null have no bytes either."""
    array = table.column(0).combine_chunks()
    return pc.struct_field(array, "bytes") if pa.types.is_struct(array.type) else array


class TableReader:
    """Random access to rows of one table; the groups read last stay in memory."""

    def __init__(self, path: str) -> None:
        self._table = open_table(path)
        self._column = require_image_column(self._table, path)
        self._ends = np.cumsum(self._table.group_rows)
        self._group = lru_cache(maxsize=GROUPS_KEPT)(self._read_group)

    def _read_group(self, group: int) -> Any:
        return image_cells(self._table.read_group(group, [self._column]))

    def read(self, row: int) -> bytes | None:
        """Image bytes of a row; None for an empty cell or a row past the end."""
        if not len(self._ends) or not 0 <= row < self._ends[-1]:
            return None
        group = int(np.searchsorted(self._ends, row, side="right"))
        first = int(self._ends[group - 1]) if group else 0
        value: bytes | None = self._group(group)[row - first].as_py()
        return value

    def close(self) -> None:
        """Forget the groups."""
        self._group.cache_clear()
