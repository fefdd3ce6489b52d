"""Imported vectors by name: `imported:NAME` wherever a model is named."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from contracts.embedding_store import HEADER, EmbeddingStore
from contracts.errors import MissingInput, UserError

PREFIX = "imported:"
NO_ROW = "the imported vectors have no row for it"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")


def is_imported(spec: str) -> bool:
    """Whether a model's name stands for imported vectors."""
    return spec.startswith(PREFIX)


def imported_spec(name: str) -> str:
    """`clip` -> `imported:clip`. Errors: UserError for a name that is not fit for a folder."""
    bare = name.removeprefix(PREFIX)
    if not _NAME.fullmatch(bare):
        raise UserError(f"imported vectors cannot be called {name!r}: take letters, digits, dot, minus, underscore")
    return PREFIX + bare


def open_imported(folder: Path, spec: str) -> EmbeddingStore:
    """The store of imported vectors. Errors: MissingInput says how to import them; BrokenArtifact."""
    if not (folder / HEADER).is_file():
        bare = spec.removeprefix(PREFIX)
        raise MissingInput(
            f"{folder} holds no imported vectors: import them with `curate embed --import FILES --name {bare}`, those "
            "of a seed or reference set with `--of ITS-NAME`"
        )
    return EmbeddingStore.open(folder)


def keys_without_row(store: EmbeddingStore, keys: pa.Array) -> pa.Array:
    """Which images the imported vectors have no row for."""
    return keys.filter(pc.invert(pc.is_in(keys, value_set=store.keys)))
