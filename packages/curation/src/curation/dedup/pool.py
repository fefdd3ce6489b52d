"""The embedded images of a workspace or image set as arrays: keys, vectors, and the order of keeping."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contracts.embedding_store import EmbeddingStore
from curation.catalog import unique_images
from curation.dedup.decide import Pool
from curation.dedup.hash_prepass import NO_COPIES
from curation.dedup.representative import keeping_order, key_order


def load_pool(store: EmbeddingStore, catalog_folder: Path, filtered: pa.Array, copies: pa.Table = NO_COPIES) -> Pool:
    """Images that are both embedded and still in the catalogue, in the order of the store, without `copies` (key, of).

    `filtered`: keys that filters drop; they take part, so that other bounds need no new pairs, but stand for a group
    only when all of it is filtered.
    """
    images = unique_images(catalog_folder)
    images = images.filter(pc.invert(pc.is_in(images.column("key"), value_set=copies.column("key").combine_chunks())))
    where = pc.index_in(store.keys, value_set=images.column("key").combine_chunks())
    rows = np.flatnonzero(pc.is_valid(where).to_numpy(zero_copy_only=False))
    whole = len(rows) == store.rows
    keys = store.keys if whole else store.keys.take(pa.array(rows))
    vectors = store.all_vectors() if whole else store.all_vectors()[rows]
    found = images.take(where.drop_null())
    priority = keeping_order(
        _ints(found, "width_px"),
        _ints(found, "height_px"),
        _ints(found, "byte_count"),
        key_order(keys),
        pc.is_in(keys, value_set=filtered).to_numpy(zero_copy_only=False),
    )
    return Pool(keys, vectors, int(store.settings.get("odd_dims", 0)), priority)


def _ints(table: pa.Table, name: str) -> NDArray[np.int64]:
    return np.asarray(table.column(name).fill_null(0).to_numpy(), np.int64)
