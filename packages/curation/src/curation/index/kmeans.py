"""Spherical k-means by Faiss, seeded, with assignment in blocks.

Dimensions: N rows, D width, K clusters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.index.mirror_cosine import Floats, cosine_block, unit_rows
from curation.index.threads import load_faiss

Rows = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Assignment:
    """Nearest centroid of every row. Shapes: cluster int32 [N], cosine float32 [N]."""

    cluster: NDArray[np.int32]
    cosine: NDArray[np.float32]


def training_rows(rows: int, wanted: int, seed: int) -> NDArray[np.int64]:
    """A seeded sample of row numbers without replacement, ascending; all rows when fewer are there."""
    if rows <= wanted:
        return np.arange(rows, dtype=np.int64)
    return np.sort(np.random.default_rng(seed).choice(rows, size=wanted, replace=False))


def train_centroids(vectors: Rows, clusters: int, iterations: int, seed: int, threads: int | None = None) -> Floats:
    """Unit centroids of spherical k-means. Shapes: [N, D] -> [min(K, N), D].

    Source: Faiss `Kmeans(spherical=True)`. The seed draws the initial centroids and splits empty clusters.
    """
    rows = unit_rows(vectors)
    clusters = min(clusters, len(rows))
    if clusters == len(rows):
        return rows
    faiss = load_faiss(threads)
    kmeans = faiss.Kmeans(
        rows.shape[1],
        clusters,
        niter=iterations,
        spherical=True,
        seed=seed,
        min_points_per_centroid=1,
        max_points_per_centroid=max(1, -(-len(rows) // clusters)),
        verbose=False,
    )
    kmeans.train(rows)
    return unit_rows(kmeans.centroids)


def assign(
    vectors: Rows, centroids: Floats, odd_dims: int = 0, block_rows: int = 4096, block_centroids: int = 8192
) -> Assignment:
    """Nearest centroid by cosine, the lower number on ties. Shapes: [N, D], [K, D]."""
    cluster = np.zeros(len(vectors), np.int32)
    cosine = np.full(len(vectors), -np.inf, np.float32)
    for start in range(0, len(vectors), block_rows):
        block = unit_rows(vectors[start : start + block_rows])
        best, best_cosine = cluster[start : start + len(block)], cosine[start : start + len(block)]
        for first in range(0, len(centroids), block_centroids):
            scores = cosine_block(block, centroids[first : first + block_centroids], odd_dims)
            nearest = scores.argmax(axis=1)
            value = scores[np.arange(len(block)), nearest]
            better = value > best_cosine
            best[better] = nearest[better] + first
            best_cosine[better] = value[better]
    return Assignment(cluster, cosine)


def default_clusters(rows: int, images_per_cluster: int) -> int:
    """One cluster per `images_per_cluster` images up to 100,000, the paper's number for 744 M images.

    Differs: never fewer than sqrt(rows), so that small pools are divided at all.
    """
    return max(1, min(100_000, max(round(rows / images_per_cluster), round(math.sqrt(rows)))))
