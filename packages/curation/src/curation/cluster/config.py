"""How many clusters and how they are trained: the `cluster:` section of curate.yaml."""

from __future__ import annotations

from contracts.config import StrictModel
from pydantic import Field


class ClusterConfig(StrictModel):
    """Spherical k-means over the pool's embeddings."""

    model: str = Field("scene", description="embedder whose vectors are clustered")
    clusters: int | None = Field(
        None, ge=1, description="number of clusters (default: one per `images_per_cluster` images, at most 100,000)"
    )
    images_per_cluster: int = Field(
        7440, ge=1, description="mean cluster size that sets the default number: 744 M images in 100,000 clusters, as in the paper"
    )
    iterations: int = Field(20, ge=1, le=1000, description="k-means iterations")
    train_images_per_cluster: int = Field(
        256, ge=1, description="images per cluster that train the centroids; all images are assigned"
    )
    seed: int = Field(0, ge=0, description="seed of the initial centroids and of the training sample")
