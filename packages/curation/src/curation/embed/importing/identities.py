"""Whose row is it? The ways in which a table may name an image of the catalogue, the surest first.

All on columns: a catalogue of N images costs some 100 bytes for each and way that the tables ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curation.catalog import read_catalog
from curation.sources.original_ids import ids_of, samples_of

NONE, AMBIGUOUS = -1, -2
Places = NDArray[np.int64]


@dataclass(frozen=True)
class Identity:
    """Names, each once, and the place of the image that each stands for, AMBIGUOUS where several images have it."""

    names: pa.Array
    places: Places

    def find(self, asked: pa.Array) -> Places:
        """Places of names, NONE where no image has it. Shapes: [N] -> [N]."""
        if not len(self.names):
            return np.full(len(asked), NONE)
        found = pc.index_in(asked, value_set=self.names, skip_nulls=True)
        rows = pc.fill_null(found, -1).to_numpy().astype(np.int64)
        return np.where(rows < 0, NONE, self.places[rows])


class KnownImages:
    """The usable images of a catalogue and every way to name them. `keys`: sorted, each once; places count in them."""

    def __init__(self, catalog_folder: Path) -> None:
        rows = read_catalog(catalog_folder, ["key", "uri", "source", "status"])
        rows = rows.filter(pc.equal(rows.column("status"), "ok"))
        keys = rows.column("key").combine_chunks()
        unique = pc.unique(keys)
        self.keys: pa.Array = unique.take(pc.sort_indices(unique))
        self._place = pc.index_in(keys, value_set=self.keys)
        self._uri: pa.Array = rows.column("uri").combine_chunks()
        source = rows.column("source").combine_chunks()
        self._source = source.cast(pa.string()) if pa.types.is_dictionary(source.type) else source

    def example(self) -> str:
        """A uri of the catalogue, for a message."""
        return str(self._uri[0]) if len(self._uri) else "(none)"

    def by_key(self) -> Identity:
        """By the key itself."""
        return Identity(self.keys, np.arange(len(self.keys)))

    def by_uri(self) -> Identity:
        """By uri."""
        return _identity(self._uri, self._place)

    def by_relative_path(self) -> Identity:
        """Loose files by their path below the source that they were found in."""
        loose = pc.invert(pc.match_substring(self._uri, "#"))
        names: pa.Array = pa.nulls(len(self._uri), pa.string())
        for source in pc.unique(self._source).to_pylist():
            folder = f"{source.rstrip('/')}/"
            inside = pc.and_(pc.and_(pc.equal(self._source, source), loose), pc.starts_with(self._uri, folder))
            names = pc.if_else(inside, pc.utf8_slice_codeunits(self._uri, len(folder)), names)
        return _identity(names, self._place)

    def by_sample(self) -> Identity:
        """Members of archives by WebDataset's key, which is img2dataset's `key`."""
        return _identity(samples_of(self._uri), self._place)

    def by_id(self, column: str) -> Identity:
        """By the id that they had where they come from."""
        return _identity(ids_of(self._uri, column), self._place)


def _identity(names: pa.Array, places: pa.Array) -> Identity:
    table = pa.table({"name": names, "place": places}).filter(pc.is_valid(names))
    found = table.group_by("name", use_threads=False).aggregate([("place", "min"), ("place", "max")])
    lowest, highest = (found.column(f"place_{end}").to_numpy().astype(np.int64) for end in ("min", "max"))
    return Identity(found.column("name").combine_chunks(), np.where(lowest == highest, lowest, AMBIGUOUS))


Prepare = Callable[[pa.Array], pa.Array]


@dataclass(frozen=True)
class Way:
    """One way to match: a column of the tables, what is made of its text, and the names of the catalogue."""

    column: str
    named: str
    prepare: Prepare
    identity: Identity

    def find(self, texts: pa.Array) -> Places:
        """Places of the images that the column's text names."""
        return self.identity.find(self.prepare(texts))


def content_keys(texts: pa.Array) -> pa.Array:
    """The key within a hexadecimal sha256 sum, or a key itself; null for other text."""
    looks = pc.match_substring_regex(texts, r"^[0-9a-fA-F]{24,64}$")
    return pc.if_else(looks, pc.utf8_lower(pc.utf8_slice_codeunits(texts, 0, 24)), None)


def as_uri(paths: pa.Array) -> pa.Array:
    """Paths with what `sources.uri.escape` escapes."""
    for mark in ("%", "#", *map(chr, range(32)), "\x7f"):
        paths = pc.replace_substring(paths, mark, f"%{ord(mark):02X}")
    return paths


def ancestors(low: str, high: str) -> Iterator[str]:
    """The folders that all paths between two (in order of text) lie in, with their last slash, shortest first."""
    same = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    yield ""
    at = low.find("/")
    while 0 <= at < same:
        yield low[: at + 1]
        at = low.find("/", at + 1)
