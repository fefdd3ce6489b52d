"""Flat clustering of a whole store: sampled training, then every vector to its nearest centroid.

Dimensions: N rows, D width, K clusters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.cluster.config import ClusterConfig
from curation.index.kmeans import Assignment, Nearest, assign, default_clusters, train_centroids, training_rows
from curation.index.mirror_cosine import Floats


@dataclass(frozen=True)
class Clustering:
    """Centroids and the nearest one of every row. Shapes: centroids [K, D], assignment [N]."""

    centroids: Floats
    assignment: Assignment


def cluster_vectors(
    vectors: NDArray[np.floating[Any]], settings: ClusterConfig, nearest: Nearest = assign
) -> Clustering:
    """Spherical k-means: the same vectors and settings give the same clusters. `nearest` assigns all vectors."""
    clusters = settings.clusters or default_clusters(len(vectors), settings.images_per_cluster)
    sample = training_rows(len(vectors), clusters * settings.train_images_per_cluster, settings.seed)
    centroids = train_centroids(vectors[sample], clusters, settings.iterations, settings.seed)
    return Clustering(centroids, nearest(vectors, centroids))
