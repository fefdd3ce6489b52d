"""Hierarchical k-means with resampling: clusters of clusters whose density is flatter than that of the data.

Source: Vo et al. 2024 (arXiv 2405.15613), section 3.2 and algorithm 1, written from the paper. Level 1 clusters the
embeddings, level t the centroids of level t - 1. At each level, k-means is followed by rounds of resampling: the r
members closest to each centroid form a new, flatter set; a fresh k-means of that set gives new centroids; all points
are assigned anew.

Differs: spherical k-means (the points are unit vectors of a cosine space; the paper uses Euclidean distance) with
Faiss's seeded start and not k-means++.

Dimensions: N points of a level, D width, K clusters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.index.kmeans import Assignment, Nearest, assign, train_centroids, training_rows
from curation.index.mirror_cosine import Floats, unit_rows

Rows = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class LevelPlan:
    """One level: number of clusters, members kept per cluster when resampling, rounds of resampling."""

    clusters: int
    resample_members: int
    resample_rounds: int


@dataclass(frozen=True)
class Level:
    """Shapes: centroids [K, D]; parent int32 [N], the cluster of every point of the level below; cosine [N]."""

    centroids: Floats
    parent: NDArray[np.int32]
    cosine: NDArray[np.float32]


def default_plans(images: int, images_per_cluster: int, ratio: int, rounds: int) -> list[LevelPlan]:
    """Levels for a pool: the finest by mean cluster size, each next `ratio` times smaller while at least 2 remain.

    Members kept are half the mean cluster size, as in the paper's runs.
    """
    plans, points, clusters = [], images, max(1, round(images / images_per_cluster))
    while True:
        plans.append(LevelPlan(clusters, max(1, points // clusters // 2), rounds))
        points, clusters = clusters, clusters // ratio
        if clusters < 2:
            return plans


@dataclass(frozen=True)
class KMeansPlan:
    """How every k-means of the hierarchy is run. `nearest` assigns all points of a level."""

    iterations: int
    train_points_per_cluster: int
    seed: int
    nearest: Nearest = assign


def build_hierarchy(
    vectors: Rows,
    plans: Sequence[LevelPlan],
    kmeans: KMeansPlan,
    say: Callable[[str], None] = lambda _text: None,
) -> list[Level]:
    """Levels from the finest to the coarsest. The same vectors, plans and seed give the same levels."""
    levels: list[Level] = []
    points: Rows = vectors
    for number, plan in enumerate(plans, 1):
        say(f"level {number}: {len(points):,} points into {min(plan.clusters, len(points)):,} clusters")
        level = _build_level(points, plan, kmeans, kmeans.seed + 1000 * number)
        levels.append(level)
        points = level.centroids
    return levels


def _build_level(points: Rows, plan: LevelPlan, kmeans: KMeansPlan, seed: int) -> Level:
    sample = training_rows(len(points), plan.clusters * kmeans.train_points_per_cluster, seed)
    centroids = train_centroids(points[sample], plan.clusters, kmeans.iterations, seed)
    found = kmeans.nearest(points, centroids)
    for turn in range(1, plan.resample_rounds + 1):
        chosen = closest_members(found, len(centroids), plan.resample_members)
        if len(chosen) <= plan.clusters:
            break
        centroids = train_centroids(points[chosen], plan.clusters, kmeans.iterations, seed + turn)
        found = kmeans.nearest(points, centroids)
    return _without_empty(centroids, found)


def closest_members(found: Assignment, clusters: int, members: int) -> Ints:
    """Rows of the `members` points nearest to each centroid, ascending; the lower row on ties."""
    order = np.lexsort((np.arange(len(found.cluster)), -found.cosine, found.cluster))
    starts = np.searchsorted(found.cluster[order], np.arange(clusters))
    place = np.arange(len(order)) - starts[found.cluster[order]]
    return np.sort(order[place < members])


def _without_empty(centroids: Floats, found: Assignment) -> Level:
    """Clusters without a point are left out, so that every centroid of the next level stands for something."""
    used = np.unique(found.cluster)
    renumbered = np.full(len(centroids), -1, np.int32)
    renumbered[used] = np.arange(len(used), dtype=np.int32)
    return Level(unit_rows(centroids[used]), renumbered[found.cluster], found.cosine)


def leaf_clusters(levels: Sequence[Level]) -> list[NDArray[np.int32]]:
    """For every level, the cluster of every image: the chain of parents. Shapes: int32 [images] each."""
    chains = [levels[0].parent]
    for level in levels[1:]:
        chains.append(level.parent[chains[-1]])
    return chains


def without_images(levels: Sequence[Level], kept: NDArray[np.bool_]) -> list[Level]:
    """The same clusters over some of the images. Shapes: kept bool [images]."""
    finest = levels[0]
    return [Level(finest.centroids, finest.parent[kept], finest.cosine[kept]), *levels[1:]]
