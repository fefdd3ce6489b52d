"""How many clusters and how they are trained: the `cluster:` section of curate.yaml."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from contracts.config import StrictModel


class ClusterConfig(StrictModel):
    """Spherical k-means over the pool's embeddings."""

    model: str = Field(default="scene", description="embedder whose vectors are clustered")
    clusters: int | None = Field(
        default=None,
        ge=1,
        description="number of clusters (default: from images_per_cluster, at most 100,000)",
    )
    images_per_cluster: int = Field(
        default=7440,
        ge=1,
        description="mean cluster size that sets the default number: 744 M images in 100,000 clusters, as in the paper",
    )
    iterations: int = Field(default=20, ge=1, le=1000, description="k-means iterations")
    train_images_per_cluster: int = Field(
        default=256, ge=1, description="images per cluster that train the centroids; all images are assigned"
    )
    seed: int = Field(default=0, ge=0, description="seed of the initial centroids and of the training sample")
    level_clusters: tuple[int, ...] = Field(
        default=(), description="clusters per level of the hierarchy, finest first (default: from the pool's size)"
    )
    images_per_finest_cluster: int = Field(
        default=74, ge=1, description="mean size of the finest clusters when levels are not given; 74 in 2405.15613"
    )
    level_ratio: int = Field(default=20, ge=2, description="clusters of a level per cluster of the next coarser one")
    resample_rounds: int = Field(default=10, ge=0, description="rounds of resampling per level; 10 in 2405.15613")
    resample_members: int | None = Field(
        default=None, ge=1, description="members nearest to each centroid kept per round (default: half the mean size)"
    )
    retrain_above: float = Field(
        default=0.2,
        ge=0,
        description="centroids on disk serve, and new images go to the nearest, while the images that came or went are "
        "at most this share of those that they were trained for; 0: train anew whenever the pool changed",
    )
    sample_images: int | None = Field(
        default=None, ge=1, description="size of the balanced sample (default: a tenth of the pool)"
    )
    prune_above: float | None = Field(
        default=None,
        ge=-1,
        le=1,
        description="before drawing, leave out images above this cosine to an earlier one",
    )
    prune_rule: Literal["all-earlier", "kept-earlier"] = Field(
        default="all-earlier", description="compare with all earlier images (SemDeDup) | with those that are kept"
    )
    prune_first: Literal["hard", "easy"] = Field(
        default="hard", description="which come first: hard, far from the centroid | easy, near it"
    )
    draw: Literal["random", "closest"] = Field(
        default="random", description="which images of a finest cluster are drawn: at random | nearest to its centroid"
    )
