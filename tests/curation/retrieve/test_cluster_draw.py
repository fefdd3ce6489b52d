from __future__ import annotations

import numpy as np

from curation.cluster.config import ClusterConfig
from curation.cluster.flat import cluster_vectors
from curation.index.kmeans import Assignment, assign
from curation.retrieve.cluster_draw import draw_from_clusters
from curation.retrieve.scaled_limits import ClusterLimits


def planted(groups: int, per_group: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    generator = np.random.default_rng(seed)
    centres = np.eye(groups, 32, dtype=np.float32)
    labels = np.repeat(np.arange(groups), per_group)
    vectors = centres[labels] + 0.05 * generator.standard_normal((len(labels), 32)).astype(np.float32)
    return vectors, labels, generator


def test_a_seed_of_two_topics_brings_those_topics_and_no_other() -> None:
    vectors, labels, generator = planted(groups=8, per_group=40, seed=1)
    clustering = cluster_vectors(vectors, ClusterConfig(clusters=8))
    wanted = np.repeat([2, 5], 6)
    queries = np.eye(8, 32, dtype=np.float32)[wanted] + 0.05 * generator.standard_normal((12, 32)).astype(np.float32)
    stray = np.eye(8, 32, dtype=np.float32)[[7, 7, 7]]  # three images: not more than three
    seeds = assign(np.concatenate([queries, stray]), clustering.centroids).cluster
    drawn = draw_from_clusters(clustering.assignment, seeds, 4, ClusterLimits(10_000, 10_000), "random", 0)
    assert set(labels[drawn.row]) == {2, 5}
    assert len(drawn.row) == 80
    assert drawn.clusters_used == 2
    with_stray = draw_from_clusters(clustering.assignment, seeds, 3, ClusterLimits(10_000, 10_000), "random", 0)
    assert set(labels[with_stray.row]) == {2, 5, 7}


def pool() -> Assignment:
    cosine = np.linspace(0.1, 0.9, 30, dtype=np.float32)
    return Assignment(np.repeat(np.arange(3, dtype=np.int32), 10), cosine)


def test_limits_per_cluster_and_per_seed() -> None:
    seeds = np.array([0, 0, 0, 0, 2, 2, 2, 2], np.int32)
    drawn = draw_from_clusters(pool(), seeds, 4, ClusterLimits(6, 100), "random", 0)
    assert np.bincount(drawn.cluster, minlength=3).tolist() == [6, 0, 6]
    capped = draw_from_clusters(pool(), seeds, 4, ClusterLimits(6, 7), "random", 0)
    assert len(capped.row) == 7
    assert capped.before_cap == 12
    assert set(capped.row) | set(capped.cut) == set(drawn.row)
    assert not set(capped.row) & set(capped.cut)


def test_nearest_takes_the_highest_cosines() -> None:
    seeds = np.array([1, 1, 1, 1], np.int32)
    drawn = draw_from_clusters(pool(), seeds, 4, ClusterLimits(3, 100), "nearest", 0)
    assert drawn.row.tolist() == [19, 18, 17]
    assert drawn.rank.tolist() == [0, 1, 2]


def test_the_seed_decides_the_draw_and_a_cluster_draws_alike_for_every_seed_set() -> None:
    one = draw_from_clusters(pool(), np.repeat(np.int32(1), 4), 4, ClusterLimits(5, 100), "random", 0)
    again = draw_from_clusters(pool(), np.repeat(np.int32([0, 1]), 5), 4, ClusterLimits(5, 100), "random", 0)
    other = draw_from_clusters(pool(), np.repeat(np.int32(1), 4), 4, ClusterLimits(5, 100), "random", 1)
    assert set(one.row) == set(again.row[again.cluster == 1])
    assert set(one.row) != set(other.row)


def test_no_cluster_with_enough_seed_images_draws_nothing() -> None:
    drawn = draw_from_clusters(pool(), np.array([0, 1, 2], np.int32), 4, ClusterLimits(5, 100), "random", 0)
    assert (len(drawn.row), drawn.clusters_used, drawn.before_cap) == (0, 0, 0)
