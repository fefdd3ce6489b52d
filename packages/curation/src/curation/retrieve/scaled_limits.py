"""Limits of retrieval that scale with the pool and reach the paper's numbers at the paper's size.

Source: DINOv2 (arXiv 2304.07193), section 3 and appendix A.4: a pool of 744 M images in 100,000 clusters, sample mode
for query sets of more than 1 M images, 10,000 images per cluster, at most 1 M images per query set.
Differs: those numbers take a small pool whole (10,000 images are more than a small pool's clusters hold), so unset
limits keep the paper's proportions instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PAPER_POOL_IMAGES = 744_000_000
PAPER_CLUSTERS = 100_000
PAPER_SAMPLE_ABOVE_IMAGES = 1_000_000
PAPER_PER_CLUSTER = 10_000
PAPER_MAX_PER_SEED = 1_000_000


@dataclass(frozen=True)
class ClusterLimits:
    """Images taken from one cluster and for one seed set, at most."""

    per_cluster: int
    max_per_seed: int


def sample_above_images(asked: int | None, pool_images: int) -> int:
    """Seeds with more images than this use sample mode: 1 M of 744 M pool images, in proportion."""
    if asked is not None:
        return asked
    return min(PAPER_SAMPLE_ABOVE_IMAGES, pool_images * PAPER_SAMPLE_ABOVE_IMAGES // PAPER_POOL_IMAGES)


def mode_for(
    asked: Literal["auto", "sample", "cluster", "none"], seed_images: int, above_images: int
) -> Literal["sample", "cluster", "none"]:
    """The mode that `auto` stands for: sample for large seed sets, cluster for small ones."""
    if asked != "auto":
        return asked
    return "sample" if seed_images > above_images else "cluster"


def cluster_limits(per_cluster: int | None, max_per_seed: int | None, pool_images: int, clusters: int) -> ClusterLimits:
    """10,000 of a mean cluster of 7,440 images, and 100 times that per seed set, in proportion."""
    if per_cluster is None:
        mean_images = pool_images / max(clusters, 1)
        share = PAPER_PER_CLUSTER / (PAPER_POOL_IMAGES / PAPER_CLUSTERS)
        per_cluster = min(PAPER_PER_CLUSTER, max(1, round(share * mean_images)))
    if max_per_seed is None:
        max_per_seed = min(PAPER_MAX_PER_SEED, per_cluster * (PAPER_MAX_PER_SEED // PAPER_PER_CLUSTER))
    return ClusterLimits(per_cluster, max_per_seed)
