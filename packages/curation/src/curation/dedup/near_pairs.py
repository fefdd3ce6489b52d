"""Pairs of the pool with itself and with reference sets: read when they are on disk and still answer, else joined."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from contracts.embedding_store import EmbeddingStore
from curation.dedup.config import DedupConfig
from curation.dedup.decide import Pool
from curation.dedup.pair_file import PairsMade, read_pairs, vectors_identity, write_pairs
from curation.dedup.reference_pairs import write_reference_pairs
from curation.index.join import Pairs, cross_join, self_join
from curation.index.plan import IndexPlan

Say = Callable[[str], None]


def pool_pairs(
    folder: Path, pool: Pool, store: EmbeddingStore, settings: DedupConfig, lowest: float, plan: IndexPlan, say: Say
) -> Pairs:
    """All pairs of the pool above the lowest cosine."""
    index = f"{plan.kind} {plan.lists} {plan.probes}"
    wanted = PairsMade(vectors_identity(store, pool.keys), index, settings.neighbors, lowest)
    pairs = read_pairs(folder, pool.keys, wanted)
    if pairs is not None:
        say(f"{len(pairs):,} pairs read from {folder / 'pairs.parquet'}")
        return pairs
    pairs = self_join(pool.vectors, lowest, plan, settings.neighbors, pool.odd_dims)
    write_pairs(folder, pool.keys, pairs, wanted)
    say(f"{len(pairs):,} pairs above cosine {lowest:g}")
    return pairs


def reference_pairs(
    folder: Path, name: str, pool: Pool, reference: EmbeddingStore, min_cosine: float, plan: IndexPlan
) -> Pairs:
    """Pairs (reference row, pool row) above a cosine."""
    pairs = cross_join(reference.all_vectors(), pool.vectors, min_cosine, plan, pool.odd_dims)
    write_reference_pairs(folder, name, pool.keys, reference.keys, pairs)
    return pairs
