"""What a pool offers: loose files, archives and tables, listed in one order whatever the file system says."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from braceexpand import braceexpand

from contracts.errors import MissingInput, UserError
from curation.sources.kinds import is_archive, is_list, is_table
from curation.sources.tables import image_column, open_table, require_image_column


@dataclass
class Listing:
    """The files of one source. `skipped_tables`: Parquet files without images that describe archives beside them."""

    source: str
    files: list[str] = field(default_factory=list)
    archives: list[str] = field(default_factory=list)
    tables: list[tuple[str, int]] = field(default_factory=list)  # (path, rows)
    skipped_tables: list[str] = field(default_factory=list)

    def empty(self) -> bool:
        """Whether nothing is offered."""
        return not (self.files or self.archives or self.tables)


def list_source(source: str) -> Listing:
    """List a folder (recursive), a tar, a brace pattern of tars, a Parquet table, a file list or one image.

    Errors: MissingInput when it is not there, UserError when it offers nothing.
    """
    listing = Listing(source)
    if "{" in source and not Path(source).exists():
        paths = [Path(text) for text in braceexpand(source)]
        missing = [path for path in paths if not path.is_file()]
        if missing:
            raise MissingInput(f"{source} stands for {len(paths)} files and {missing[0]} is not there")
        _sort_in(listing, paths, named=True)
    else:
        _list_path(listing, Path(source))
    if listing.empty():
        raise UserError(f"{source} offers no image: it holds no file, archive or table")
    for values in (listing.files, listing.archives, listing.tables):
        values.sort()
    return listing


def _list_path(listing: Listing, path: Path) -> None:
    if path.is_dir():
        _sort_in(listing, _walk(path), named=False)
    elif not path.exists():
        raise MissingInput(f"there is no {listing.source}: name a folder, a tar, a Parquet table or a list of files")
    elif is_list(path):
        _sort_in(listing, _listed(path), named=False)
    else:
        _sort_in(listing, [path], named=True)


def _walk(folder: Path) -> Iterator[Path]:
    """Every file below a folder. Links to folders are not followed (they may form circles)."""
    for here, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(here, name) for name in names)


def _listed(file: Path) -> Iterator[Path]:
    """Paths of a file list, one a line, relative to the list's folder; empty lines and lines with # are left out."""
    for line in file.read_bytes().splitlines():
        text = os.fsdecode(line).strip()
        if text and not text.startswith("#"):
            yield Path(os.path.normpath(file.parent / text))


def _sort_in(listing: Listing, paths: Iterable[Path], *, named: bool) -> None:
    """Put files where they belong. A table that the user named must have images; one found in a folder may not."""
    tables = []
    for path in paths:
        if is_archive(path):
            listing.archives.append(str(path))
        elif is_table(path):
            tables.append(path)
        else:
            listing.files.append(str(path))
    archives = set(listing.archives)
    for path in tables:
        table = open_table(path)
        if image_column(table.schema_arrow) is None and str(path.with_suffix(".tar")) in archives and not named:
            listing.skipped_tables.append(str(path))
            continue
        require_image_column(table, path)
        listing.tables.append((str(path), table.metadata.num_rows))
