"""Centroids that serve a pool that changed a little: they stay as they are, and new images go to the nearest.

The result depends on the stored centroids and the pool alone. It differs from that of training on the whole pool, so
that only so much may change: `ClusterConfig.retrain_above`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curation.cluster.cluster_files import StoredClusters
from curation.cluster.hierarchy import Level
from curation.index.kmeans import Assignment


@dataclass(frozen=True)
class Drift:
    """How far a pool is from the one that centroids were trained for. `trained`: images of that one."""

    trained: int
    came: int
    gone: int

    @property
    def share(self) -> float:
        """Images that came or went, as a share of those that the centroids were trained for."""
        return (self.came + self.gone) / max(1, self.trained)

    def describe(self) -> str:
        """For the plan and the summary."""
        return f"{self.came:,} images came and {self.gone:,} went since they were trained for {self.trained:,}"


def drift_of(stored: StoredClusters, keys: pa.Array) -> Drift:
    """What came and went since training, with the pool as in `keys`."""
    still = pc.is_in(stored.keys.filter(pa.array(stored.trained)), value_set=keys)
    there = int(pc.sum(still).as_py() or 0)
    return Drift(stored.trained_images, len(keys) - there, stored.trained_images - there)


def grow(
    stored: StoredClusters, keys: pa.Array, assign_rows: Callable[[NDArray[np.int64]], Assignment]
) -> tuple[list[Level], NDArray[np.bool_]]:
    """The stored levels over the images in `keys`, and which of these the centroids were trained for.

    `assign_rows`: the nearest finest centroid of some rows of `keys`, asked for what is new.
    """
    place = pc.index_in(keys, value_set=stored.keys)
    old = np.flatnonzero(pc.is_valid(place).to_numpy(zero_copy_only=False))
    new = np.flatnonzero(pc.is_null(place).to_numpy(zero_copy_only=False))
    before = place.drop_null().to_numpy()
    finest = stored.levels[0]
    parent, cosine = np.empty(len(keys), np.int32), np.empty(len(keys), np.float32)
    trained = np.zeros(len(keys), np.bool_)
    parent[old], cosine[old], trained[old] = finest.parent[before], finest.cosine[before], stored.trained[before]
    if len(new):
        found = assign_rows(new)
        parent[new], cosine[new] = found.cluster, found.cosine
    return [Level(finest.centroids, parent, cosine), *stored.levels[1:]], trained
