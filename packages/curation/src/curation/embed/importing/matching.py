"""Rows of the tables beside imported vectors -> images of the catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contracts.errors import UserError
from curation.embed.importing.identities import (
    NONE,
    Identity,
    KnownImages,
    Places,
    Way,
    ancestors,
    as_uri,
    content_keys,
)
from curation.embed.importing.layout import VectorFile
from curation.sources.original_ids import text
from curation.sources.tables import open_table, read_columns, row_count

_CONTENT = ("key", "sha256", "image_key", "hash")
_IDS = ("uid", "image_id", "id", "url")
_PATHS = ("uri", "image_path", "path", "file_path", "filepath", "filename", "file_name", "file", "image")
_SAMPLES = ("key", "__key__", "image_path")
_ROWS_TRIED = 1 << 16


class Matcher:
    """Finds the image of each row. A row is given to the first way that names an image; `ways` tells them in order."""

    def __init__(self, files: Sequence[VectorFile], images: KnownImages) -> None:
        self._files, self._images = files, images
        self._schema = open_table(str(files[0].table)).schema
        self.ways = [*self._sure_ways(), *self._path_ways(), *self._sample_ways()]
        self.columns = list(dict.fromkeys(way.column for way in self.ways))
        if not self.ways:
            raise UserError(
                f"{files[0].table} has the columns {', '.join(self._schema.names)}, of which none names an image: "
                f"wanted is one of {', '.join(dict.fromkeys((*_CONTENT, *_IDS, *_PATHS, *_SAMPLES)))}"
            )

    def find(self, table: str, rows: range) -> tuple[Places, Places]:
        """(place of each row's image, or NONE, or AMBIGUOUS; number of the way that found it). Shapes: [len(rows)]."""
        read = self._read(table, rows)
        places = np.full(len(rows), NONE)
        used = np.full(len(rows), NONE)
        for number, way in enumerate(self.ways):
            open_rows = np.flatnonzero(places == NONE)
            if not len(open_rows):
                break
            found = way.find(read.column(way.column).combine_chunks().take(pa.array(open_rows)))
            places[open_rows] = found
            used[open_rows[found >= 0]] = number
        return places, used

    def refuse(self) -> UserError:
        """What to tell when no row names an image."""
        first = self._read(str(self._files[0].table), range(min(1, row_count(open_table(str(self._files[0].table))))))
        seen = ", ".join(f"{name} {first.column(name)[0]}" for name in self.columns) if len(first) else "no rows"
        return UserError(
            f"no row of {self._files[0].table} names an image of the catalogue (the first row has {seen}, the "
            f"catalogue {self._images.example()}): ingest the images that these vectors belong to, or name other files"
        )

    def _has(self, names: Sequence[str]) -> list[str]:
        return [name for name in names if name in self._schema.names]

    def _sure_ways(self) -> list[Way]:
        by_key = self._images.by_key()
        ways = [Way(name, "the content's key", content_keys, by_key) for name in self._has(_CONTENT)]
        return ways + [Way(name, f"{name} of the source", _same, self._images.by_id(name)) for name in self._has(_IDS)]

    def _path_ways(self) -> list[Way]:
        ways, columns = [], self._has(_PATHS)
        if columns:
            by_uri, by_path = self._images.by_uri(), self._images.by_relative_path()
        for name in columns:
            ways.append(Way(name, "uri", _same if name == "uri" else as_uri, by_uri))
            folder = self._folder_to_leave_out(name, by_path)
            ways.append(Way(name, "path below the source", partial(_below, folder), by_path))
        return ways

    def _sample_ways(self) -> list[Way]:
        columns = self._has(_SAMPLES)
        by_sample = self._images.by_sample() if columns else None
        return [Way(name, "key of the sample", _same, by_sample) for name in columns if by_sample is not None]

    def _folder_to_leave_out(self, column: str, by_path: Identity) -> str:
        """The folder of the tables' paths that stands for the source: that below which most of the first rows match.

        Only folders that all paths of the first table lie in are tried, and of equals the shortest is taken.
        """
        table = str(self._files[0].table)
        paths = self._column(table, column, range(min(_ROWS_TRIED, row_count(open_table(table)))))
        ends = pc.min_max(paths)
        if not ends["min"].is_valid:
            return ""
        best, most = "", 0
        for folder in ancestors(ends["min"].as_py(), ends["max"].as_py()):
            count = int((by_path.find(_below(folder, paths)) >= 0).sum())
            if count > most:
                best, most = folder, count
        return best

    def _column(self, table: str, column: str, rows: range) -> pa.Array:
        blocks = list(read_columns(open_table(table), [column], rows))
        return text(pa.concat_tables(blocks).column(column)).combine_chunks() if blocks else pa.array([], pa.string())

    def _read(self, table: str, rows: range) -> pa.Table:
        opened = open_table(table)
        missing = [name for name in self.columns if name not in opened.schema.names]
        if missing:
            raise UserError(f"{table} lacks the column {missing[0]}, which {self._files[0].table} has")
        blocks = list(read_columns(opened, self.columns, rows))
        found = pa.concat_tables(blocks) if blocks else opened.schema.empty_table().select(self.columns)
        return pa.table({name: text(found.column(name)) for name in self.columns})


def _same(texts: pa.Array) -> pa.Array:
    return texts


def _below(folder: str, paths: pa.Array) -> pa.Array:
    """Escaped paths below a folder, without it; null for the others."""
    inside = pc.starts_with(paths, folder)
    rest = pc.utf8_slice_codeunits(paths, len(folder))
    return as_uri(pc.if_else(inside, pc.replace_substring_regex(rest, r"^(\./)+", ""), None))
