"""Pairs of the pool with itself and with reference sets: read when they are on disk and still answer, else joined."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from contracts.embedding_store import EmbeddingStore
from curation.dedup.decide import Pool
from curation.dedup.pair_file import PairsMade, PairsOnDisk, read_pairs, vectors_identity, write_pairs
from curation.dedup.reference_pairs import write_reference_pairs
from curation.index.join import Pairs, cross_join, self_join
from curation.index.plan import IndexPlan, plan_index

Say = Callable[[str], None]


@dataclass(frozen=True)
class JoinAsked:
    """The join of a pool with itself: how, from which cosine up, and whether all pairs or those of k nearest."""

    plan: IndexPlan
    lowest_cosine: float
    neighbors: int | None


def pool_pairs(folder: Path, pool: Pool, store: EmbeddingStore, asked: JoinAsked, say: Say) -> Pairs:
    """All pairs of the pool above the lowest cosine. When only images were added, only their pairs are computed."""
    plan, lowest = asked.plan, asked.lowest_cosine
    index = f"{plan.kind} {plan.lists} {plan.overlap:g}"
    wanted = PairsMade(vectors_identity(store, pool.keys), len(pool), index, asked.neighbors, lowest)
    there = read_pairs(folder, pool.keys)
    if there is not None and there.made.serves(wanted):
        say(f"{len(there.pairs):,} pairs read from {folder / 'pairs.parquet'}")
        return there.pairs
    if there is not None and _starts_with(there.made, wanted, store, pool):
        pairs = _grown(there, pool, plan)
        wanted = replace(wanted, lowest_cosine=there.made.lowest_cosine)
        say(f"{len(pairs) - len(there.pairs):,} pairs of {len(pool) - there.made.rows:,} new images added")
    else:
        pairs = self_join(pool.vectors, lowest, plan, asked.neighbors, pool.odd_dims)
        say(f"{len(pairs):,} pairs above cosine {lowest:g}")
    write_pairs(folder, pool.keys, pairs, wanted)
    return pairs


def _starts_with(made: PairsMade, wanted: PairsMade, store: EmbeddingStore, pool: Pool) -> bool:
    return made.may_grow_into(wanted) and vectors_identity(store, pool.keys[: made.rows]) == made.vectors


def _grown(there: PairsOnDisk, pool: Pool, plan: IndexPlan) -> Pairs:
    """The pairs on disk, those of the new images with each other, and those between new and old."""
    old, lowest = there.made.rows, there.made.lowest_cosine
    fresh = pool.vectors[old:]
    among = self_join(fresh, lowest, plan_index(len(fresh), plan.dim), odd_dims=pool.odd_dims)
    across = cross_join(fresh, pool.vectors[:old], lowest, plan, pool.odd_dims)
    a = np.concatenate([there.pairs.a, among.a + old, across.b])
    b = np.concatenate([there.pairs.b, among.b + old, across.a + old])
    cosine = np.concatenate([there.pairs.cosine, among.cosine, across.cosine])
    order = np.lexsort((b, a))
    return Pairs(a[order], b[order], cosine[order])


def reference_pairs(
    folder: Path, name: str, pool: Pool, reference: EmbeddingStore, min_cosine: float, plan: IndexPlan
) -> Pairs:
    """Pairs (reference row, pool row) above a cosine."""
    pairs = cross_join(reference.all_vectors(), pool.vectors, min_cosine, plan, pool.odd_dims)
    write_reference_pairs(folder, name, pool.keys, reference.keys, pairs)
    return pairs
