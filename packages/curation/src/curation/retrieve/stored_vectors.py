"""Vectors of some images out of a store: which images, in the order of their keys, and a name for exactly those."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contracts.embedding_store import EmbeddingStore
from contracts.errors import MissingInput
from curation.retrieve.from_vectors import Vectors


def load_vectors(store: EmbeddingStore, keys: pa.Array) -> Vectors:
    """Vectors of those keys that have one, in the order of the keys.

    An image that could not be read when it was embedded has none. Errors: MissingInput when no key has one.
    """
    place = pc.index_in(keys, value_set=store.keys)
    keys = keys.filter(pc.is_valid(place))
    if not len(keys):
        raise MissingInput(f"none of the images has a vector in {store.folder}: run `curate embed` again")
    rows = place.drop_null().to_numpy().astype(np.int64)
    vectors = store.all_vectors()
    whole = len(rows) == len(vectors) and bool((rows == np.arange(len(rows))).all())
    return Vectors(keys, vectors if whole else vectors[rows], int(store.settings.get("odd_dims", 0)))


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
