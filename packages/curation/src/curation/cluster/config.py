"""How many clusters and how they are trained: the `cluster:` section of curate.yaml."""

from __future__ import annotations

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
