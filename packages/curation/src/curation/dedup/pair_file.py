"""Near pairs on disk: written once at the lowest cosine asked; every higher threshold is read from here.

dedup/pairs.parquet   key_a, key_b, cosine
dedup/pairs.json      header: which vectors, from which cosine up, by which index; published last
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contracts.embedding_store import EmbeddingStore
from contracts.errors import UserError
from contracts.header import read_header, write_header
from contracts.tables import PAIRS, read_table, write_table
from curation.index.join import Pairs

FORMAT, VERSION = "winnow.pairs-header", 1


@dataclass(frozen=True)
class PairsMade:
    """What the pairs were made from: the first `rows` images of a store, named by `vectors`.

    `neighbors` None: all pairs above the cosine. `index`: its kind, and its parameters after a space.
    """

    vectors: str
    rows: int
    index: str
    neighbors: int | None
    lowest_cosine: float

    def serves(self, wanted: PairsMade) -> bool:
        """Whether the pairs on disk answer what is wanted now."""
        same = (self.vectors, self.index, self.neighbors) == (wanted.vectors, wanted.index, wanted.neighbors)
        return same and self.lowest_cosine <= wanted.lowest_cosine

    def may_grow_into(self, wanted: PairsMade) -> bool:
        """Whether only pairs of further images have to be added: these images come first, all pairs are kept."""
        same_kind = self.index.split(" ")[0] == wanted.index.split(" ")[0]
        all_pairs = self.neighbors is None and wanted.neighbors is None
        return 0 < self.rows < wanted.rows and same_kind and all_pairs and self.lowest_cosine <= wanted.lowest_cosine


def vectors_identity(store: EmbeddingStore, keys: pa.Array) -> str:
    """Changes when the set of images or the computation of their vectors changes."""
    digest = hashlib.sha256(f"{store.model} {store.dim} {store.config_sha256} {len(keys)}\n".encode())
    for start in range(0, len(keys), 1 << 16):
        digest.update("\n".join(keys.slice(start, 1 << 16).to_pylist()).encode())
    return digest.hexdigest()


def write_pairs(folder: Path, keys: pa.Array, pairs: Pairs, made: PairsMade) -> None:
    """Publish pairs of rows as pairs of keys, the smaller key first."""
    header = folder / "pairs.json"
    header.unlink(missing_ok=True)
    write_table(folder / "pairs.parquet", pairs_table(keys, pairs), PAIRS)
    fields = {**asdict(made), "pairs": len(pairs)}
    write_header(header, format_name=FORMAT, version=VERSION, config_sha256="", fields=fields)


def pairs_table(keys: pa.Array, pairs: Pairs) -> pa.Table:
    """Pairs of rows as pairs of keys, the smaller key first."""
    left, right = keys.take(pa.array(pairs.a)), keys.take(pa.array(pairs.b))
    ordered = pc.less(left, right)
    return pa.table(
        {
            "key_a": pc.if_else(ordered, left, right),
            "key_b": pc.if_else(ordered, right, left),
            "cosine": pa.array(pairs.cosine),
        }
    )


@dataclass(frozen=True)
class PairsOnDisk:
    """Pairs of rows, sorted by (a, b), a < b, and what they were made from."""

    pairs: Pairs
    made: PairsMade


def read_pairs(folder: Path, keys: pa.Array) -> PairsOnDisk | None:
    """What is on disk, as rows of `keys`; None when there is nothing, or something unreadable or of other images."""
    try:
        header = read_header(folder / "pairs.json", format_name=FORMAT, version=VERSION, made_with="curate dedup")
        made = PairsMade(**{name: header[name] for name in PairsMade.__dataclass_fields__})
        table = read_table(folder / "pairs.parquet", PAIRS)
    except (UserError, KeyError, TypeError):
        # Anything unreadable is made anew: the file is a cache of the vectors.
        return None
    first = pc.index_in(table.column("key_a"), value_set=keys)
    second = pc.index_in(table.column("key_b"), value_set=keys)
    if first.null_count or second.null_count:
        return None
    x, y = first.to_numpy().astype(np.int64), second.to_numpy().astype(np.int64)
    a, b = np.minimum(x, y), np.maximum(x, y)
    order = np.lexsort((b, a))
    return PairsOnDisk(Pairs(a[order], b[order], table.column("cosine").to_numpy()[order]), made)
