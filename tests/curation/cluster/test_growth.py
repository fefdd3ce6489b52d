"""Centroids that serve a pool that changed a little."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from curation.cluster.cluster_files import ClustersMade, StoredClusters
from curation.cluster.growth import drift_of, grow
from curation.cluster.hierarchy import KMeansPlan, LevelPlan, build_hierarchy
from curation.index.kmeans import Assignment, assign
from curation.index.mirror_cosine import unit_rows

MADE = ClustersMade("abc", "def", "scene", {})


def keys_of(numbers: NDArray[np.int64]) -> pa.Array:
    return pa.array([f"{number:024x}" for number in numbers])


@pytest.fixture(scope="module")
def vectors() -> NDArray[np.float32]:
    return unit_rows(np.random.default_rng(0).normal(size=(150, 8)).astype(np.float32))


def test_a_grown_pool_lies_as_its_images_lie_to_the_old_centroids(vectors: NDArray[np.float32]) -> None:
    old, new = np.arange(100), np.arange(7, 140)  # seven are gone, forty came
    levels = build_hierarchy(vectors[old], [LevelPlan(12, 3, 1), LevelPlan(3, 2, 1)], KMeansPlan(5, 256, seed=0))
    stored = StoredClusters(keys_of(old), levels, np.ones(100, np.bool_), 100, MADE)
    drift = drift_of(stored, keys_of(new))
    assert (drift.trained, drift.came, drift.gone) == (100, 40, 7) and drift.share == pytest.approx(0.47)
    asked: list[int] = []

    def assign_rows(rows: NDArray[np.int64]) -> Assignment:
        asked.extend(rows)
        return assign(vectors[new][rows], levels[0].centroids)

    grown, trained = grow(stored, keys_of(new), assign_rows)
    assert asked == list(range(93, 133)), "what lies in a cluster already is not assigned again"
    anew = assign(vectors[new], levels[0].centroids)
    assert np.array_equal(grown[0].parent, anew.cluster) and np.array_equal(grown[0].cosine, anew.cosine)
    assert grown[1] is levels[1] and trained.sum() == 93 and not trained[93:].any()

    # Growth of what has grown: an image that came is no image that the centroids were trained for.
    once = StoredClusters(keys_of(new), grown, trained, 100, MADE)
    further = drift_of(once, keys_of(np.arange(7, 150)))
    assert (further.trained, further.came, further.gone) == (100, 50, 7)
