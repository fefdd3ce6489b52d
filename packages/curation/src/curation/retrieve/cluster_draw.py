"""Cluster-based retrieval: images of the clusters in which a seed set has enough images of its own.

Dimensions: P pool images, S seed images, K clusters, R results.

Source: DINOv2 (arXiv 2304.07193), appendix A.4: 100,000 clusters; 10,000 images from each cluster that holds more
than 3 images of the query set; at most 1 M images per query set. How images are drawn is not said: `draw` chooses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from curation.index.kmeans import Assignment
from curation.retrieve.scaled_limits import ClusterLimits

Ints = NDArray[np.int64]
Draw = Literal["random", "nearest"]
_CAP_STREAM = 1 << 40  # no cluster has this number, so the draw of the cap is independent of those of the clusters


@dataclass(frozen=True)
class Drawn:
    """Drawn pool images by cluster, nearest to the centroid first. Shapes: row, cluster, rank int64 [R]; cut int64 [C].

    `cut`: images that were drawn from a cluster and then fell to the limit per seed set.
    """

    row: Ints
    cluster: Ints
    rank: Ints
    cut: Ints
    clusters_used: int

    @property
    def before_cap(self) -> int:
        """Images drawn from the clusters before the limit per seed set."""
        return len(self.row) + len(self.cut)


def draw_from_clusters(
    pool: Assignment,
    seed_clusters: NDArray[np.int32],
    min_seed_images: int,
    limits: ClusterLimits,
    draw: Draw,
    random_seed: int,
) -> Drawn:
    """Draw from every cluster with at least `min_seed_images` seed images, then cut to the limit of the seed set.

    A cluster gives the same images to every seed set (its draw depends on `random_seed` and its number alone).
    Shapes: pool assignment [P], seed_clusters [S].
    """
    clusters = int(max(pool.cluster.max(initial=-1), seed_clusters.max(initial=-1))) + 1
    used = np.flatnonzero(np.bincount(seed_clusters, minlength=clusters) >= min_seed_images)
    by_cluster = np.argsort(pool.cluster, kind="stable").astype(np.int64)
    starts = np.searchsorted(pool.cluster[by_cluster], np.arange(clusters + 1))
    taken = [
        _draw(by_cluster[starts[c] : starts[c + 1]], pool.cosine, limits.per_cluster, draw, [random_seed, int(c)])
        for c in used
    ]
    every = np.sort(np.concatenate(taken)) if taken else np.empty(0, np.int64)
    rows = np.sort(_draw(every, pool.cosine, limits.max_per_seed, draw, [random_seed, _CAP_STREAM]))
    cut = np.setdiff1d(every, rows, assume_unique=True)
    cluster = pool.cluster[rows].astype(np.int64)
    order = np.lexsort((rows, -pool.cosine[rows], cluster))
    rows, cluster = rows[order], cluster[order]
    rank = np.arange(len(rows)) - np.searchsorted(cluster, cluster)
    return Drawn(rows, cluster, rank.astype(np.int64), cut, len(used))


def _draw(rows: Ints, cosine: NDArray[np.float32], limit: int, draw: Draw, stream: list[int]) -> Ints:
    """At most `limit` of the rows: a seeded sample without replacement, or those with the highest cosine."""
    if len(rows) <= limit:
        return rows
    if draw == "nearest":
        return rows[np.lexsort((rows, -cosine[rows]))[:limit]]
    return np.random.default_rng(stream).choice(rows, size=limit, replace=False)
