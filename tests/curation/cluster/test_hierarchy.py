"""Hierarchies: seeded, whole, and flatter than the data after resampling."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from contracts.errors import BrokenArtifact, MissingInput
from curation.cluster.cluster_files import ClustersMade, made_of, read_clusters, write_clusters
from curation.cluster.hierarchy import (
    KMeansPlan,
    LevelPlan,
    build_hierarchy,
    closest_members,
    default_plans,
    leaf_clusters,
)
from curation.index.kmeans import Assignment
from curation.index.mirror_cosine import unit_rows


def concepts(sizes: list[int], dim: int = 16, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors of concepts of very different sizes, and the concept of each."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((len(sizes), dim))
    label = np.repeat(np.arange(len(sizes)), sizes)
    points = centres[label] + 0.25 * rng.standard_normal((len(label), dim))
    return unit_rows(points.astype(np.float32)), label


PLANS = [LevelPlan(40, 5, 4), LevelPlan(8, 2, 4)]


def test_the_same_seed_gives_the_same_levels_and_another_seed_others() -> None:
    vectors, _ = concepts([300] * 4)
    first = build_hierarchy(vectors, PLANS, KMeansPlan(8, 256, seed=1))
    again = build_hierarchy(vectors, PLANS, KMeansPlan(8, 256, seed=1))
    other = build_hierarchy(vectors, PLANS, KMeansPlan(8, 256, seed=2))
    for one, two in zip(first, again, strict=True):
        assert np.array_equal(one.centroids, two.centroids) and np.array_equal(one.parent, two.parent)
    assert not np.array_equal(first[0].parent, other[0].parent)


def test_every_image_is_in_one_cluster_of_every_level_and_none_is_empty() -> None:
    vectors, _ = concepts([500, 100, 20, 20])
    levels = build_hierarchy(vectors, PLANS, KMeansPlan(8, 256, seed=0))
    assert len(levels[0].parent) == 640 and len(levels[1].parent) == len(levels[0].centroids)
    for chain, level in zip(leaf_clusters(levels), levels, strict=True):
        counts = np.bincount(chain, minlength=len(level.centroids))
        assert counts.sum() == 640 and counts.min() > 0


def test_resampling_gives_rare_concepts_more_clusters() -> None:
    vectors, label = concepts([4000, 100, 100, 100], seed=3)

    def clusters_of_the_common_concept(rounds: int) -> float:
        level = build_hierarchy(vectors, [LevelPlan(32, 5, rounds)], KMeansPlan(10, 256, seed=0))[0]
        owner = np.array([np.bincount(label[level.parent == c]).argmax() for c in range(len(level.centroids))])
        return float((owner == 0).mean())

    assert clusters_of_the_common_concept(8) < clusters_of_the_common_concept(0) - 0.1


def test_the_closest_members_are_the_closest() -> None:
    found = Assignment(np.array([0, 0, 0, 1], np.int32), np.array([0.5, 0.9, 0.7, 0.1], np.float32))
    assert closest_members(found, 2, 2).tolist() == [1, 2, 3]


def test_default_levels_shrink_by_the_ratio() -> None:
    plans = default_plans(1_000_000, images_per_cluster=74, ratio=20, rounds=10)
    assert [plan.clusters for plan in plans] == [13514, 675, 33]
    assert [plan.resample_members for plan in plans] == [36, 10, 10]
    assert [plan.clusters for plan in default_plans(50, 74, 20, 10)] == [1]


def test_clusters_come_back_from_disk_and_damage_is_said(tmp_path: Path) -> None:
    vectors, _ = concepts([60, 60])
    levels = build_hierarchy(vectors, [LevelPlan(12, 3, 1), LevelPlan(3, 2, 1)], KMeansPlan(5, 256, seed=0))
    keys = pa.array([f"{i:024x}" for i in range(120)])
    with pytest.raises(MissingInput, match="curate cluster"):
        read_clusters(tmp_path)
    assert made_of(tmp_path) is None
    made = ClustersMade("abc", "def", "scene", {"seed": 3})
    write_clusters(tmp_path, keys, levels, made)
    stored = read_clusters(tmp_path)
    assert stored.keys.equals(keys) and stored.made == made_of(tmp_path) == made
    assert stored.trained.all() and stored.trained_images == 120
    for one, two in zip(stored.levels, levels, strict=True):
        assert np.array_equal(one.parent, two.parent) and np.array_equal(one.centroids, two.centroids)
        assert np.allclose(one.cosine, two.cosine, atol=1e-6)
    (tmp_path / "level-2-parents.npy").write_bytes(b"cut")
    with pytest.raises(BrokenArtifact, match="curate cluster"):
        read_clusters(tmp_path)
