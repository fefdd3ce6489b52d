"""Images in parquet tables as Hugging Face datasets writes them: a column of {bytes, path}, perhaps a label.

Row groups are read when one of their rows is, and the newest few are kept.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from contracts.errors import BrokenArtifact, MissingInput
from trainer.data.remote.files import base_name, folder_of
from trainer.data.sources.source import ImageSource, RawSample

CACHE_BYTES = 256 << 20
IMAGE_COLUMNS = ("image", "img", "jpg", "png", "webp", "image_bytes")
LABEL_COLUMNS = ("label", "labels", "fine_label", "cls", "class")
Opener = Callable[[Path | str], pq.ParquetFile]


@dataclass(frozen=True)
class RowGroups:
    """Row groups of all files in order. Shapes: all [groups]. Units: size in bytes, uncompressed."""

    file: np.ndarray
    group: np.ndarray
    rows: np.ndarray
    size: np.ndarray


class ParquetSource(ImageSource):
    """Rows of parquet files, local ones here. The key of an image is `<file name>#<row>`.

    Errors: MissingInput (no file, no image column, no row), BrokenArtifact (not a parquet file, tables that differ).
    """

    def __init__(self, files: Sequence[Path | str]) -> None:
        self._files = tuple(files)
        if not self._files:
            raise MissingInput("no parquet file was named: wanted at least one")
        self._image_column, self._label_column, names = _columns_of(self._files[0], self._opened)
        self._groups = _row_groups(self._files, self._image_column, self._label_column, self._opened)
        if not self._groups.rows.sum():
            raise MissingInput(f"{self._files[0]} and its like hold no rows: wanted one image a row")
        self._first = np.concatenate([[0], np.cumsum(self._groups.rows)])
        starts: dict[int, int] = {}
        for group, file in enumerate(self._groups.file):
            starts.setdefault(int(file), int(self._first[group]))
        self._file_start = starts
        self._names = names
        self._cache: OrderedDict[int, pa.Table] = OrderedDict()
        self._max_label = -1
        if self._label_column is not None and names is None:
            self._max_label = self._largest_label(self._label_column)

    def __len__(self) -> int:
        return int(self._first[-1])

    def read(self, index: int) -> RawSample:
        """Row number `index` over all files. Errors: OSError when the row group or the row holds no bytes."""
        group = int(np.searchsorted(self._first, index, side="right")) - 1
        table = self._table(group)
        row = index - int(self._first[group])
        cell: Any = table.column(self._image_column)[row].as_py()
        if isinstance(cell, dict):
            data, path = cell.get("bytes"), cell.get("path")
            if data is None and path:
                data = self._beside(self._files[int(self._groups.file[group])], path)
        else:
            data = cell
        if not data:
            raise OSError(f"{self.name(index)} holds no image bytes")
        label = table.column(self._label_column)[row].as_py() if self._label_column else None
        return RawSample(self.name(index), data, None if label is None or label < 0 else int(label))

    def name(self, index: int) -> str:
        """`<file name>#<row in the file>`."""
        group = int(np.searchsorted(self._first, index, side="right")) - 1
        file = int(self._groups.file[group])
        return f"{base_name(str(self._files[file]))}#{index - self._file_start[file]}"

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Names from the Hugging Face metadata, else numbers as names; None without a label column."""
        if self._names is not None or self._label_column is None:
            return self._names
        return tuple(str(number) for number in range(self._max_label + 1))

    def describe(self) -> str:
        return f"{len(self):,} rows in {len(self._files):,} parquet files of {folder_of(str(self._files[0]))}"

    def blocks(self) -> np.ndarray:
        """Row groups: a row group is read as a whole."""
        return self._groups.rows[self._groups.rows > 0]

    def blocks_at_once(self) -> int:
        """Row groups that fit into the cache together."""
        return max(1, CACHE_BYTES // max(1, int(self._groups.size.max())))

    def _table(self, group: int) -> pa.Table:
        table = self._cache.get(group)
        if table is not None:
            self._cache.move_to_end(group)
            return table
        table = self._row_group(group)
        while len(self._cache) >= self.blocks_at_once():
            self._cache.popitem(last=False)
        self._cache[group] = table
        return table

    def _columns(self) -> list[str]:
        return [self._image_column] + ([self._label_column] if self._label_column else [])

    def _row_group(self, group: int) -> pa.Table:
        """A row group, read from its file. Errors: OSError."""
        file = self._files[int(self._groups.file[group])]
        try:
            with pq.ParquetFile(file, memory_map=True) as opened:
                return opened.read_row_group(int(self._groups.group[group]), columns=self._columns(), use_threads=False)
        except pa.ArrowException as error:
            detail = str(error).splitlines()[0]
            raise OSError(f"{base_name(str(file))}: row group {group} cannot be read ({detail})") from None

    def _opened(self, file: Path | str) -> pq.ParquetFile:
        """A table, opened. Errors: MissingInput, BrokenArtifact."""
        try:
            return pq.ParquetFile(file)
        except FileNotFoundError:
            raise MissingInput(f"the table {file} is not there: copy it back or leave it out") from None
        except (pa.ArrowException, OSError) as error:
            detail = str(error).splitlines()[0]
            raise BrokenArtifact(f"{file} is not a whole parquet file ({detail}): copy it again") from None

    def _column(self, file: Path | str, name: str) -> pa.ChunkedArray:
        """A column of a whole table."""
        return self._opened(file).read(columns=[name]).column(name)

    def _largest_label(self, name: str) -> int:
        chunks = (chunk for file in self._files for chunk in self._column(file, name).chunks)
        return max((int(chunk.to_numpy(zero_copy_only=False).max(initial=-1)) for chunk in chunks), default=-1)

    def _beside(self, file: Path | str, path: str) -> bytes:
        """A file whose path a row holds, from the table's folder on. Errors: OSError."""
        return (Path(file).parent / path).read_bytes()

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_cache": OrderedDict()}


def _columns_of(file: Path | str, opener: Opener) -> tuple[str, str | None, tuple[str, ...] | None]:
    """(image column, label column, class names) of a table."""
    schema = opener(file).schema_arrow
    image = next((name for name in IMAGE_COLUMNS if name in schema.names and _holds_images(schema.field(name))), None)
    if image is None:
        image = next((field.name for field in schema if _holds_images(field) and pa.types.is_struct(field.type)), None)
    if image is None:
        raise MissingInput(
            f"{file} has columns {', '.join(schema.names)}: wanted an image column of type {{bytes, path}} or binary"
        )
    integer = [n for n in LABEL_COLUMNS if n in schema.names and pa.types.is_integer(schema.field(n).type)]
    label = integer[0] if integer else None
    return image, label, _names_in_metadata(schema, label)


def _holds_images(field: pa.Field) -> bool:
    kind = field.type
    if pa.types.is_struct(kind):
        return bool(kind.get_field_index("bytes") >= 0)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _names_in_metadata(schema: pa.Schema, label: str | None) -> tuple[str, ...] | None:
    raw = (schema.metadata or {}).get(b"huggingface")
    if raw is None or label is None:
        return None
    try:
        names = json.loads(raw)["info"]["features"][label]["names"]
    except (KeyError, TypeError, ValueError):
        return None
    return tuple(str(name) for name in names)


def _row_groups(files: Sequence[Path | str], image: str, label: str | None, opener: Opener) -> RowGroups:
    rows: list[tuple[int, int, int, int]] = []
    for number, file in enumerate(files):
        opened = opener(file)
        wanted = {image} | ({label} if label else set())
        if not wanted <= set(opened.schema_arrow.names):
            raise BrokenArtifact(f"{file} lacks the column {image!r} or {label!r} that {base_name(str(files[0]))} has")
        metadata = opened.metadata
        for group in range(metadata.num_row_groups):
            row_group = metadata.row_group(group)
            rows.append((number, group, row_group.num_rows, row_group.total_byte_size))
    columns = np.asarray(rows, dtype=np.int64).reshape(-1, 4).T
    keep = columns[:, columns[2] > 0]
    return RowGroups(keep[0], keep[1], keep[2], keep[3])
