"""Files of vectors, each with the Parquet table that says whose rows they are.

img_emb_0.npy + metadata_0.parquet             clip-retrieval; also img_emb/img_emb_0.npy + metadata/metadata_0.parquet
0a1b.npz + 0a1b.parquet                        DataComp; also any .npy beside a table of the same name
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from contracts.errors import MissingInput, UserError

VECTOR_SUFFIXES = {".npy", ".npz"}
_NUMBER = re.compile(r"(\d+)$")
_OF_TEXTS = re.compile(r"te?xt_emb", re.IGNORECASE)


@dataclass(frozen=True)
class VectorFile:
    """Vectors and the table of their rows, in the same order."""

    vectors: Path
    table: Path


def find_vector_files(paths: Sequence[str]) -> list[VectorFile]:
    """Vector files of folders (recursive) or as named, in order of name; embeddings of texts are passed over.

    Errors: MissingInput (nothing there), UserError (a file without a table, a remote address).
    """
    found: set[Path] = set()
    tables: set[Path] = set()
    for text in paths:
        if "://" in text:
            raise UserError(f"{text} is remote: vectors are mapped from local files, so copy them here first")
        path = Path(text).expanduser()
        if not path.exists():
            raise MissingInput(f"there is no {text}: name .npy or .npz files with their tables, or a folder of them")
        inside = [path] if path.is_file() else [inner for inner in path.rglob("*") if inner.is_file()]
        found |= {one for one in inside if one.suffix.lower() in VECTOR_SUFFIXES}
        tables |= {one for one in inside if one.suffix.lower() == ".parquet"}
    chosen = sorted((one for one in found if not _OF_TEXTS.search(one.stem)), key=_in_order)
    if not chosen:
        raise UserError(f"{', '.join(paths)} holds no .npy or .npz file of image vectors: name them, or their folder")
    return [VectorFile(one, _table_of(one, chosen, tables)) for one in chosen]


def _in_order(path: Path) -> tuple[str, int, str]:
    """By folder, then by number, so that img_emb_10 comes after img_emb_9."""
    number = _NUMBER.search(path.stem)
    return str(path.parent), int(number[1]) if number else -1, path.name


def _table_of(vectors: Path, chosen: Sequence[Path], named: set[Path]) -> Path:
    same = vectors.with_suffix(".parquet")
    if same.is_file():
        return same
    number = _NUMBER.search(vectors.stem)
    folders = (vectors.parent, vectors.parent / "metadata", vectors.parent.parent / "metadata")
    if number:
        for folder in folders:
            table = folder / f"metadata_{number[1]}.parquet"
            if table.is_file():
                return table
    if len(chosen) == 1 and len(named) == 1:
        return next(iter(named))
    wanted = f"{same.name}, or metadata_{number[1]}.parquet" if number else same.name
    raise UserError(f"{vectors} has no table that says whose rows it holds: put {wanted} beside it")
