"""Pairs of the pool with itself and with reference sets: read when they are on disk and still answer, else joined.

dedup/lists/     the lists that joins go by, kept and grown (index.overlap_index)
dedup/joining/   the work of a join under way; a killed run goes on with what is there
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from contracts.embedding_store import EmbeddingStore
from curation.dedup.decide import Pool
from curation.dedup.pair_file import PairsMade, PairsOnDisk, read_pairs, vectors_identity, write_pairs
from curation.dedup.reference_pairs import write_reference_pairs
from curation.engine import Engine
from curation.index.join import JoinPlace, Pairs, cross_join, self_join
from curation.index.plan import IndexPlan

Say = Callable[[str], None]


@dataclass(frozen=True)
class JoinAsked:
    """The join of a pool with itself: how, from which cosine up, and whether all pairs or those of k nearest."""

    plan: IndexPlan
    lowest_cosine: float
    neighbors: int | None


@dataclass(frozen=True)
class PoolVectors:
    """An embedded pool, the store that its vectors come from, and where and by what it is joined."""

    folder: Path
    pool: Pool
    store: EmbeddingStore
    engine: Engine

    def identify(self, rows: int) -> str:
        """A name of the first so many images."""
        return vectors_identity(self.store, self.pool.keys[:rows])

    def place(self, work: str, first: int = 0) -> JoinPlace:
        """Where a join lies that `work` names; what a run of other work left there is removed."""
        name, joining = hashlib.sha256(work.encode()).hexdigest()[:16], self.folder / "joining"
        for other in joining.glob("*"):
            if other.name != name:
                shutil.rmtree(other)
        return JoinPlace(self.folder / "lists", joining / name, self.engine, self.identify, first)

    def done(self) -> None:
        """The work of joins is no longer needed; the lists are."""
        shutil.rmtree(self.folder / "joining", ignore_errors=True)


def pool_pairs(vectors: PoolVectors, asked: JoinAsked, say: Say) -> Pairs:
    """All pairs of the pool above the lowest cosine. When only images were added, only their pairs are computed."""
    plan, lowest, pool = asked.plan, asked.lowest_cosine, vectors.pool
    index = f"{plan.kind} {plan.lists} {plan.overlap:g}"
    wanted = PairsMade(vectors.identify(len(pool)), len(pool), index, asked.neighbors, lowest)
    there = read_pairs(vectors.folder, pool.keys)
    if there is not None and there.made.serves(wanted):
        say(f"{len(there.pairs):,} pairs read from {vectors.folder / 'pairs.parquet'}")
        return there.pairs
    if (
        there is not None
        and there.made.may_grow_into(wanted)
        and vectors.identify(there.made.rows) == there.made.vectors
    ):
        wanted = replace(wanted, lowest_cosine=there.made.lowest_cosine)
        pairs = _grown(there, vectors, plan, wanted)
        say(f"{len(pairs) - len(there.pairs):,} pairs of {len(pool) - there.made.rows:,} new images added")
    else:
        place = vectors.place(f"{wanted} {pool.odd_dims}")
        pairs = self_join(pool.vectors, lowest, plan, asked.neighbors, pool.odd_dims, place)
        say(f"{len(pairs):,} pairs above cosine {lowest:g}")
    write_pairs(vectors.folder, pool.keys, pairs, wanted)
    vectors.done()
    return pairs


def _grown(there: PairsOnDisk, vectors: PoolVectors, plan: IndexPlan, wanted: PairsMade) -> Pairs:
    """The pairs on disk, and those of the new images with each other and with the old ones."""
    pool, first = vectors.pool, there.made.rows
    place = vectors.place(f"{wanted} {pool.odd_dims} from {first}", first)
    new = self_join(pool.vectors, wanted.lowest_cosine, plan, None, pool.odd_dims, place)
    a, b = np.concatenate([there.pairs.a, new.a]), np.concatenate([there.pairs.b, new.b])
    order = np.lexsort((b, a))
    return Pairs(a[order], b[order], np.concatenate([there.pairs.cosine, new.cosine])[order])


def reference_pairs(
    vectors: PoolVectors, name: str, reference: EmbeddingStore, min_cosine: float, plan: IndexPlan
) -> Pairs:
    """Pairs (reference row, pool row) above a cosine."""
    pool = vectors.pool
    place = vectors.place(f"reference {name} {vectors.identify(len(pool))}")
    pairs = cross_join(reference.all_vectors(), pool.vectors, min_cosine, plan, pool.odd_dims, place)
    vectors.done()
    write_reference_pairs(vectors.folder, name, pool.keys, reference.keys, pairs)
    return pairs
