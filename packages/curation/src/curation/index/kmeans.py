"""Spherical k-means by Faiss, seeded, with assignment in blocks.

Dimensions: N rows, D width, K clusters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from curation.index.mirror_cosine import Floats, cosine_block, pair_cosines, unit_rows
from curation.index.threads import load_faiss

Rows = NDArray[np.floating[Any]]
# Products of unit rows in float32 are off by less than this.
NEAR_TIE = np.float32(4e-6)


@dataclass(frozen=True)
class Assignment:
    """Nearest centroid of every row. Shapes: cluster int32 [N], cosine float32 [N]."""

    cluster: NDArray[np.int32]
    cosine: NDArray[np.float32]


class Nearest(Protocol):
    """What assigns rows to centroids: `assign` here, or the same in parts on an engine."""

    def __call__(self, vectors: Rows, centroids: Floats, odd_dims: int = 0) -> Assignment:
        """Shapes: [N, D], [K, D] -> [N]."""
        ...


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
    """Nearest centroid by cosine, the lower number on ties. Shapes: [N, D], [K, D].

    The result does not depend on blocks or threads: products in float32 only say which centroids may be the nearest.
    """
    cluster, cosine = np.empty(len(vectors), np.int32), np.empty(len(vectors), np.float32)
    for start in range(0, len(vectors), block_rows):
        block = unit_rows(vectors[start : start + block_rows])
        stop = start + len(block)
        cluster[start:stop], cosine[start:stop] = _nearest(block, centroids, odd_dims, block_centroids)
    return Assignment(cluster, cosine)


def _nearest(
    block: Floats, centroids: Floats, odd_dims: int, block_centroids: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The nearest of all centroids within NEAR_TIE of the best, by exact cosines. Rows of zeros go to centroid 0."""
    best = np.where(block.any(axis=1), -np.inf, np.inf).astype(np.float32)
    found: list[tuple[NDArray[np.int64], NDArray[np.int64], Floats]] = []
    for first in range(0, len(centroids), block_centroids):
        scores = cosine_block(block, np.asarray(centroids[first : first + block_centroids]), odd_dims)
        np.maximum(best, scores.max(axis=1), out=best)
        near = np.flatnonzero(scores >= (best - NEAR_TIE)[:, None])  # ten times faster than nonzero of two axes
        found.append((near // scores.shape[1], near % scores.shape[1] + first, scores.ravel()[near]))
    row, centroid, score = (np.concatenate(column) for column in zip(*found, strict=True))
    still = score >= best[row] - NEAR_TIE
    row, centroid = row[still], centroid[still]
    exact = pair_cosines(block, centroids, row, centroid, odd_dims)
    order = np.lexsort((centroid, -exact, row))
    nearest = order[np.flatnonzero(np.diff(row[order], prepend=-1))]
    cluster, cosine = np.zeros(len(block), np.int32), np.zeros(len(block), np.float32)
    cluster[row[nearest]], cosine[row[nearest]] = centroid[nearest], exact[nearest]
    return cluster, cosine


def default_clusters(rows: int, images_per_cluster: int) -> int:
    """One cluster per `images_per_cluster` images up to 100,000, the paper's number for 744 M images.

    Differs: never fewer than sqrt(rows), so that small pools are divided at all.
    """
    return max(1, min(100_000, max(round(rows / images_per_cluster), round(math.sqrt(rows)))))
