"""SemDeDup's rule and the one without its chains."""

from __future__ import annotations

import numpy as np

from curation.cluster.semantic_pruning import BLOCK_ROWS, prune_clusters
from curation.index.kmeans import Assignment


def chain(length: int, step_degrees: float) -> np.ndarray:
    angle = np.deg2rad(step_degrees) * np.arange(length)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)


def one_cluster(length: int) -> Assignment:
    return Assignment(np.zeros(length, np.int32), np.linspace(0.1, 0.9, length).astype(np.float32))


def test_on_a_chain_the_paper_keeps_one_and_kept_earlier_every_second() -> None:
    # Neighbours 14 degrees apart: cosine 0.970; two steps: 0.883.
    vectors, found = chain(12, 14), one_cluster(12)
    assert prune_clusters(vectors, found, 0.95, "all-earlier").sum() == 1
    assert prune_clusters(vectors, found, 0.95, "kept-earlier").tolist() == [True, False] * 6


def test_hard_keeps_the_far_and_easy_the_near() -> None:
    vectors, found = chain(2, 1), one_cluster(2)
    assert prune_clusters(vectors, found, 0.95, first="hard").tolist() == [True, False]
    assert prune_clusters(vectors, found, 0.95, first="easy").tolist() == [False, True]


def test_equal_images_of_different_clusters_are_both_kept() -> None:
    vectors = np.ones((2, 2), np.float32)
    found = Assignment(np.array([0, 1], np.int32), np.ones(2, np.float32))
    assert prune_clusters(vectors, found, 0.95).all()


def test_clusters_larger_than_a_block_are_compared_across_blocks() -> None:
    size = BLOCK_ROWS + 5
    vectors = np.random.default_rng(0).standard_normal((size, 64)).astype(np.float32)
    vectors[size - 1] = vectors[0]
    kept = prune_clusters(vectors, one_cluster(size), 0.99)
    assert np.flatnonzero(~kept).tolist() == [size - 1]
