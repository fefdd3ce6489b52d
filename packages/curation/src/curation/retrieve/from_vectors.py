"""Retrieval over vectors: the rows that a seed set brings from a pool, in sample or cluster mode.

Dimensions: P pool images, S seed images, D width, R results.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.tables import RETRIEVAL
from curation.cluster.flat import Clustering
from curation.index.search_parts import PartSearch
from curation.retrieve.cluster_draw import draw_from_clusters
from curation.retrieve.config import RetrieveConfig
from curation.retrieve.nearest import nearest_per_query
from curation.retrieve.scaled_limits import cluster_limits

Rows = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Vectors:
    """Keys and vectors of an image set, sorted by key. Shapes: keys [N], vectors [N, D]."""

    keys: pa.Array
    vectors: Rows
    odd_dims: int = 0

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True)
class Brought:
    """Rows of contracts.tables.RETRIEVAL, keys cut by the limit of the seed, and counts for the report."""

    rows: pa.Table
    capped: pa.Array = field(default_factory=lambda: pa.array([], pa.string()))
    counts: Mapping[str, Any] = field(default_factory=dict)


def by_sample(pool: Vectors, seeds: Vectors, name: str, settings: RetrieveConfig, search: PartSearch) -> Brought:
    """The nearest pool images of every seed image. `search` is over the pool."""

    def find(queries: NDArray[np.int64], k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        return search.find(seeds.vectors, queries, k)

    found = nearest_per_query(
        find, len(seeds), len(pool), settings.per_query, settings.collisions, settings.replace_depth
    )
    ranked = Ranked(pool.keys.take(pa.array(found.row)), found.cosine, found.rank)
    rows = retrieval_rows(ranked, name, "sample", query=seeds.keys.take(pa.array(found.query)))
    return Brought(rows, counts={"collision_rate": found.collision_rate, "short_queries": found.short_queries})


def by_cluster(
    pool: Vectors, seed_clusters: NDArray[np.int32], name: str, settings: RetrieveConfig, clustering: Clustering
) -> Brought:
    """Pool images drawn from the clusters that hold enough seed images. `clustering` is of the pool; Shapes: [S]."""
    clusters = len(clustering.centroids)
    limits = cluster_limits(settings.per_cluster, settings.max_per_seed, len(pool), clusters)
    drawn = draw_from_clusters(
        clustering.assignment,
        seed_clusters,
        settings.min_seed_images,
        limits,
        settings.draw,
        settings.random_seed,
    )
    cosine = clustering.assignment.cosine[drawn.row]
    ranked = Ranked(pool.keys.take(pa.array(drawn.row)), cosine, drawn.rank)
    rows = retrieval_rows(ranked, name, "cluster", cluster=drawn.cluster)
    counts = {"clusters": clusters, "clusters_used": drawn.clusters_used, "before_cap": drawn.before_cap}
    return Brought(rows, pool.keys.take(pa.array(drawn.cut)), counts)


def as_is(keys: pa.Array, name: str) -> pa.Table:
    """The seed set's own images as rows."""
    return retrieval_rows(Ranked(keys, np.ones(len(keys), np.float32), np.zeros(len(keys), np.int64)), name, "as_is")


@dataclass(frozen=True)
class Ranked:
    """Images that were brought, how near each is to what brought it, and its place there. Shapes: [R] each."""

    keys: pa.Array
    cosine: NDArray[np.float32]
    rank: NDArray[np.int64]


def retrieval_rows(
    brought: Ranked, seed: str, mode: str, *, query: pa.Array | None = None, cluster: NDArray[np.int64] | None = None
) -> pa.Table:
    """Columns of contracts.tables.RETRIEVAL. Shapes: query, cluster [R]."""
    count = len(brought.keys)
    table = pa.table(
        {
            "key": brought.keys,
            "seed": pa.array([seed] * count, pa.string()),
            "mode": pa.array([mode] * count, pa.string()),
            "query_key": query if query is not None else pa.nulls(count, pa.string()),
            "cluster_id": pa.array(cluster, pa.int32()) if cluster is not None else pa.nulls(count, pa.int32()),
            "cosine": pa.array(brought.cosine, pa.float32()),
            "rank": pa.array(brought.rank, pa.int32()),
        }
    )
    return table.cast(RETRIEVAL.schema)
