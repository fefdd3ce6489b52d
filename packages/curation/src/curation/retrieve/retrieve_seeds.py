"""The retrieve step over embedded sets: one table per seed set; what is up to date on disk is not computed again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from contracts.config import config_sha256, plain_values
from contracts.embedding_store import EmbeddingStore
from contracts.errors import UserError
from curation.cluster.config import ClusterConfig
from curation.cluster.flat import Clustering, cluster_vectors
from curation.engine import Engine
from curation.index.assign_parts import PartAssigner
from curation.index.config import IndexConfig
from curation.index.plan import IndexPlan, plan_index
from curation.index.search_parts import PartSearch
from curation.retrieve.config import RetrieveConfig
from curation.retrieve.from_vectors import Brought, Vectors, as_is, by_cluster, by_sample
from curation.retrieve.image_set import ImageSet
from curation.retrieve.retrieval_files import SeedReport, read_report, write_retrieval
from curation.retrieve.scaled_limits import mode_for, sample_above_images
from curation.retrieve.stored_vectors import identity_of, map_vectors


@dataclass(frozen=True)
class RetrievalPool:
    """The deduplicated pool with its vectors, and what is computed of it once for all seeds.

    `scratch`: a folder that all workers see, for what they map; it is needed as long as this is.
    """

    store: EmbeddingStore
    keys: pa.Array
    retrieve: RetrieveConfig
    cluster: ClusterConfig
    engine: Engine
    scratch: Path

    @cached_property
    def vectors(self) -> Vectors:
        return map_vectors(self.store, self.keys, self.scratch / "pool.npy")

    @cached_property
    def search(self) -> PartSearch:
        plan = search_plan(self.retrieve.index, len(self), self.store.dim)
        return PartSearch(self.vectors.vectors, plan, self.vectors.odd_dims, self.engine, self.scratch)

    @cached_property
    def assigner(self) -> PartAssigner:
        return PartAssigner(self.engine, self.scratch)

    @cached_property
    def clustering(self) -> Clustering:
        return cluster_vectors(self.vectors.vectors, self.cluster, self.assigner)

    @cached_property
    def identity(self) -> str:
        return identity_of(self.store, self.keys)

    def __len__(self) -> int:
        return len(self.vectors)


def search_plan(index: IndexConfig, rows: int, dim: int) -> IndexPlan:
    """The index plan of searches among so many vectors."""
    return plan_index(rows, dim, index.kind, getattr(index, "lists", None), getattr(index, "probes", None))


def retrieve_seed(folder: Path, pool: RetrievalPool, seed: ImageSet, say: Callable[[str], None]) -> SeedReport:
    """What one seed set brings, written to the retrieval folder unless it is there already."""
    settings, cluster = plain_values(pool.retrieve), plain_values(pool.cluster)
    inputs = _sha256(
        [pool.identity, identity_of(seed.store, seed.keys), config_sha256(settings), config_sha256(cluster)]
    )
    done = _finished(folder, seed.name)
    if done is not None and done.inputs == inputs and done.source == seed.source:
        say(f"{seed.name}: nothing has changed since it was retrieved")
        return done
    above = sample_above_images(pool.retrieve.sample_above_images, len(pool))
    mode = mode_for(pool.retrieve.mode, len(seed.keys), above)
    say(f"{seed.name}: {len(seed.keys):,} images, mode {mode}")
    brought = _bring(pool, seed, mode)
    tables = [brought.rows, *([as_is(seed.keys, seed.name)] if pool.retrieve.as_is else [])]
    rows = pa.concat_tables(tables).unify_dictionaries()
    if rows.num_rows == 0:
        raise UserError(_brought_nothing(pool, seed, mode, brought.counts))
    report = SeedReport(
        seed=seed.name,
        source=seed.source,
        mode=mode,
        model=pool.store.model,
        inputs=inputs,
        pool=pool.identity,
        seed_images=len(seed.keys),
        pool_images=len(pool),
        rows={str(row["values"]): int(row["counts"]) for row in pc.value_counts(_text(rows, "mode")).to_pylist()},
        images=int(pc.count_distinct(rows.column("key")).as_py()),
        settings={"retrieve": settings, "cluster": cluster},
    )
    report = replace(report, **brought.counts)
    write_retrieval(folder, report, rows, brought.capped, config_sha256(settings))
    return report


def _bring(pool: RetrievalPool, seed: ImageSet, mode: str) -> Brought:
    if mode == "none":
        if not pool.retrieve.as_is:
            raise UserError(
                f"mode none brings nothing for the seed {seed.name}: take its own images with --as-is, or choose a mode"
            )
        return Brought(as_is(seed.keys.slice(0, 0), seed.name))
    seeds = map_vectors(seed.store, seed.keys, pool.scratch / "seeds.npy")
    if mode == "sample":
        return by_sample(pool.vectors, seeds, seed.name, pool.retrieve, pool.search)
    seed_clusters = pool.assigner(seeds.vectors, pool.clustering.centroids).cluster
    return by_cluster(pool.vectors, seed_clusters, seed.name, pool.retrieve, pool.clustering)


def _finished(folder: Path, seed: str) -> SeedReport | None:
    """The report of an earlier run; anything unreadable is made anew."""
    try:
        return read_report(folder, seed)
    except UserError:
        return None


def _brought_nothing(pool: RetrievalPool, seed: ImageSet, mode: str, counts: Mapping[str, object]) -> str:
    if mode == "cluster":
        return (
            f"the seed {seed.name} has {len(seed.keys)} images and none of the pool's {counts['clusters']} clusters "
            f"holds {pool.retrieve.min_seed_images} of them: use --mode sample, or lower --min-seed-images"
        )
    return f"the seed {seed.name} ({len(seed.keys)} images) brought nothing from a pool of {len(pool)} images"


def _text(table: pa.Table, name: str) -> pa.ChunkedArray:
    return pc.cast(table.column(name), pa.string())


def _sha256(parts: list[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
