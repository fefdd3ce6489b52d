"""Parquet tables with images inside: which column holds the bytes, and reading some rows of it.

Known forms: a struct column with `bytes` (as Hugging Face datasets writes images), or a binary column. Preferred names
come first, so that a table with a thumbnail beside the image gives the image.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from contracts.errors import BrokenArtifact, UserError

_PREFERRED = ("image", "img", "jpg", "jpeg", "png", "webp", "picture", "bytes", "content")


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


def open_table(path: Path | str) -> pq.ParquetFile:
    """Open a table. Errors: BrokenArtifact."""
    try:
        return pq.ParquetFile(path, memory_map=True)
    except (pa.ArrowInvalid, OSError) as error:
        detail = str(error).splitlines()[0]
        raise BrokenArtifact(f"{path} is not a readable Parquet file ({detail})") from None


def require_image_column(table: pq.ParquetFile, path: Path | str) -> str:
    """Name of the image column. Errors: UserError that lists the columns found."""
    column = image_column(table.schema_arrow)
    if column is None:
        found = ", ".join(table.schema_arrow.names)
        raise UserError(
            f"{path} has no column with image bytes (found: {found}): wanted is a struct with `bytes`, as Hugging Face "
            "datasets writes it, or a binary column"
        )
    return column


def read_rows(path: Path | str, rows: range) -> Iterator[bytes | None]:
    """Image bytes of consecutive rows; None where the cell is empty."""
    table = open_table(path)
    column = require_image_column(table, path)
    first = 0
    for group in range(table.num_row_groups):
        count = table.metadata.row_group(group).num_rows
        low, high = max(rows.start, first), min(rows.stop, first + count)
        if low < high:
            cells = _cells(table.read_row_group(group, columns=[column]))
            for position in range(low - first, high - first):
                yield cells[position].as_py()
        first += count


def _cells(table: pa.Table) -> pa.Array:
    array = table.column(0).combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0)
    if pa.types.is_struct(array.type):
        # Rows whose struct is null have no bytes either.
        array = pc.struct_field(array, "bytes")
    return array


class TableReader:
    """Random access to rows of one table; the row groups read last stay in memory."""

    def __init__(self, path: str, row_groups_kept: int = 64) -> None:
        self._table = open_table(path)
        self._column = require_image_column(self._table, path)
        counts = [self._table.metadata.row_group(g).num_rows for g in range(self._table.num_row_groups)]
        self._ends = np.cumsum(counts)
        self._group = lru_cache(maxsize=row_groups_kept)(self._read_group)

    def _read_group(self, group: int) -> pa.Array:
        return _cells(self._table.read_row_group(group, columns=[self._column]))

    def read(self, row: int) -> bytes | None:
        """Image bytes of a row; None for an empty cell or a row past the end."""
        if not len(self._ends) or not 0 <= row < self._ends[-1]:
            return None
        group = int(np.searchsorted(self._ends, row, side="right"))
        first = int(self._ends[group - 1]) if group else 0
        value: bytes | None = self._group(group)[row - first].as_py()
        return value
