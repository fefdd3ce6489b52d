"""What a source offers: loose files, archives and tables, listed in one order whatever the file system says."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from braceexpand import braceexpand
from numpy.typing import NDArray

from contracts.errors import BrokenArtifact, MissingInput, UserError
from curation.sources.filesystem import is_file, is_remote, list_remote, read_file
from curation.sources.hub import fetch_dataset, is_hub
from curation.sources.kinds import is_archive, is_list, is_table
from curation.sources.tables import image_column, open_table, require_image_column, row_count
from curation.sources.uri import file_uri
from curation.sources.url_tables import url_column

NO_IMAGES = "the table has no column with image bytes or urls"
_LINES_PER_BLOCK = 1 << 16


@dataclass
class Listing:
    """What one source offers, each kind in order of name.

    `files`: uris of loose files. `archives`: (path, Parquet file that describes its members, or ""). `tables`,
    `url_tables`: (path, rows) of tables with image bytes, and with addresses. `refused`: (path, why) of tables that
    were found in a folder and hold neither.
    `restricted`: only some samples of the archives and rows of the tables are offered, those in `samples` and `rows`.
    """

    source: str
    files: pa.Array = field(default_factory=lambda: pa.array([], pa.string()))
    archives: list[tuple[str, str]] = field(default_factory=list)
    tables: list[tuple[str, int]] = field(default_factory=list)
    url_tables: list[tuple[str, int]] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    restricted: bool = False
    samples: dict[str, pa.Array] = field(default_factory=dict)
    rows: dict[str, NDArray[np.int64]] = field(default_factory=dict)

    def empty(self) -> bool:
        """Whether nothing is offered."""
        return not (len(self.files) or self.archives or self.tables or self.url_tables)


def list_source(source: str) -> Listing:
    """List a folder (recursive), a tar, a brace pattern, a Parquet or Arrow table, a file list, or one image.

    Local or remote (s3://, gs://, ...); `hf://datasets/OWNER/NAME` is fetched from the Hugging Face hub first.
    Errors: MissingInput when it is not there, UserError when it offers nothing.
    """
    listing = Listing(source)
    if is_hub(source):
        _sort_in(listing, _walk(fetch_dataset(source)), named=False)
    elif "{" in source and not (is_remote(source) or Path(source).exists()):
        paths = list(braceexpand(source))
        missing = [path for path in paths if not is_file(path)]
        if missing:
            raise MissingInput(f"{source} stands for {len(paths)} files and {missing[0]} is not there")
        _sort_in(listing, paths, named=True)
    elif "{" in source and is_remote(source):
        _sort_in(listing, braceexpand(source), named=True)
    else:
        _list_place(listing, source)
    if listing.empty():
        why = f" ({listing.refused[0][0]}: {listing.refused[0][1]})" if listing.refused else ""
        raise UserError(f"{source} offers no image: it holds no file, archive or table{why}")
    return listing


def _list_place(listing: Listing, source: str) -> None:
    if is_list(source) and is_file(source):
        _sort_in(listing, _listed(source), named=False)
    elif is_remote(source):
        found = list(list_remote(source))
        _sort_in(listing, found, named=found == [source])
    elif Path(source).is_dir():
        _sort_in(listing, _walk(source), named=False)
    elif not Path(source).exists():
        raise MissingInput(f"there is no {source}: name a folder, a tar, a Parquet table or a list of files")
    else:
        _sort_in(listing, [source], named=True)


def _walk(folder: str) -> Iterator[str]:
    """Every file below a folder. Links to folders are not followed (they may form circles)."""
    for here, folders, names in os.walk(folder):
        folders.sort()
        yield from (str(Path(here, name)) for name in names)


def _listed(file: str) -> Iterator[str]:
    """Paths of a file list, one a line, relative to the list's folder; empty lines and lines with # are left out."""
    folder = file.rpartition("/")[0]
    for line in read_file(file).splitlines():
        text = os.fsdecode(line).strip()
        if text and not text.startswith("#"):
            if is_remote(text):
                yield text
            else:
                yield f"{folder}/{text}" if is_remote(file) else os.path.normpath(Path(folder) / text)


def _sort_in(listing: Listing, paths: Iterable[str], *, named: bool) -> None:
    """Put files where they belong. A table that the user named must have images; one found in a folder may not."""
    tables, archives, blocks, block = [], [], [], []
    for path in paths:
        if is_archive(path):
            archives.append(path)
        elif is_table(path):
            tables.append(path)
        else:
            block.append(file_uri(path))
            if len(block) == _LINES_PER_BLOCK:
                blocks.append(pa.array(block, pa.string()))
                block = []
    blocks.append(pa.array(block, pa.string()))
    files = pc.unique(pa.chunked_array(blocks))
    listing.files = files.take(pc.sort_indices(files))
    described = _sort_tables(listing, sorted(set(tables)), set(archives), named=named)
    listing.archives = [(path, described.get(path, "")) for path in sorted(set(archives))]


def _sort_tables(listing: Listing, tables: list[str], archives: set[str], *, named: bool) -> dict[str, str]:
    """Tables by what they hold. Returns {archive: table beside it that describes its members}."""
    described = {}
    for path in tables:
        try:
            table = open_table(path)
        except BrokenArtifact as broken:
            if named:
                raise
            listing.refused.append((path, str(broken)))
            continue
        archive = f"{path.rpartition('.')[0]}.tar"
        if image_column(table.schema) is not None:
            listing.tables.append((path, row_count(table)))
        elif archive in archives:
            described[archive] = path
        elif url_column(table.schema) is not None:
            listing.url_tables.append((path, row_count(table)))
        elif named:
            require_image_column(table, path)
        else:
            listing.refused.append((path, NO_IMAGES))
    return described
