"""Vectors of some images out of a store: which images, in the order of their keys, and a name for exactly those."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contracts.embedding_store import EmbeddingStore
from contracts.errors import MissingInput
from curation.index.row_files import mapped
from curation.retrieve.from_vectors import Vectors

BLOCK_ROWS = 65_536


def keys_with_vectors(store: EmbeddingStore, keys: pa.Array) -> pa.Array:
    """Those keys that have a vector: an image that could not be read when it was embedded has none.

    Errors: MissingInput when no key has one.
    """
    found = keys.filter(pc.is_in(keys, value_set=store.keys))
    if not len(found):
        raise MissingInput(f"none of the images has a vector in {store.folder}: run `curate embed` again")
    return found


def map_vectors(store: EmbeddingStore, keys: pa.Array, file: Path) -> Vectors:
    """Vectors of those keys that have one, in the order of the keys, mapped from disk.

    They are a part of the store where that holds exactly these rows, else `file` (.npy, 2 * rows * dim bytes), written
    here block by block.
    Errors: MissingInput when no key has one.
    """
    keys = keys_with_vectors(store, keys)
    odd_dims = int(store.settings.get("odd_dims", 0))
    rows = pc.index_in(keys, value_set=store.keys).to_numpy().astype(np.int64)
    if store.parts == 1 and len(rows) == store.rows and bool((rows == np.arange(len(rows))).all()):
        return Vectors(keys, store.part_vectors(0), odd_dims)
    _write_rows(store, rows, file)
    return Vectors(keys, mapped(file), odd_dims)


def _write_rows(store: EmbeddingStore, rows: NDArray[np.int64], file: Path) -> None:
    """Rows of a store, in any order, as one .npy file."""
    starts = np.concatenate([[0], np.cumsum(store.part_rows)])
    file.unlink(missing_ok=True)  # whoever maps what stood here keeps it
    with file.open("wb") as handle:
        header = {"descr": "<f2", "fortran_order": False, "shape": (len(rows), store.dim)}
        np.lib.format.write_array_header_1_0(handle, header)
        for start in range(0, len(rows), BLOCK_ROWS):
            chosen = rows[start : start + BLOCK_ROWS]
            block = np.empty((len(chosen), store.dim), np.float16)
            part = np.searchsorted(starts, chosen, side="right") - 1
            for number in np.unique(part).tolist():
                inside = np.flatnonzero(part == number)
                block[inside] = store.part_vectors(number)[chosen[inside] - starts[number]]
            handle.write(block.tobytes())


def identity_of(store: EmbeddingStore, keys: pa.Array) -> str:
    """Changes when the set of images or the computation of their vectors changes."""
    digest = hashlib.sha256(f"{store.model} {store.dim} {store.config_sha256} {len(keys)}\n".encode())
    for start in range(0, len(keys), 1 << 16):
        digest.update("\n".join(keys.slice(start, 1 << 16).to_pylist()).encode())
    return digest.hexdigest()


def deduplicated_keys(images: pa.Table, groups: pa.Table | None, filtered: pa.Array) -> pa.Array:
    """Keys of the catalogue (a row per readable key) that neither filters nor dedup drop, sorted."""
    keys = pc.cast(images.column("key"), pa.string()).combine_chunks()
    if groups is not None:
        dropped = groups.filter(pc.invert(groups.column("kept"))).column("key").combine_chunks()
        keys = keys.filter(pc.invert(pc.is_in(keys, value_set=dropped)))
    keys = keys.filter(pc.invert(pc.is_in(keys, value_set=filtered)))
    return keys.take(pc.sort_indices(keys))
