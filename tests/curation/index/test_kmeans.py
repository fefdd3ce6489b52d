"""Spherical k-means: seeded, the same whatever the number of threads, nearest centroids assigned."""

from __future__ import annotations

import numpy as np

from curation.index.kmeans import assign, default_clusters, train_centroids, training_rows
from curation.index.mirror_cosine import unit_rows


def blobs(seed: int, blobs_: int = 8, each: int = 60, dim: int = 24) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((blobs_, dim))
    return (centres[:, None] + 0.2 * rng.standard_normal((blobs_, each, dim))).reshape(-1, dim).astype(np.float32)


def test_same_seed_same_centroids_whatever_the_threads() -> None:
    vectors = blobs(0)
    one = train_centroids(vectors, 8, 15, seed=3, threads=1)
    assert np.array_equal(one, train_centroids(vectors, 8, 15, seed=3, threads=1))
    assert np.array_equal(one, train_centroids(vectors, 8, 15, seed=3, threads=2))
    assert not np.array_equal(one, train_centroids(vectors, 8, 15, seed=4, threads=1))
    assert np.allclose(np.linalg.norm(one, axis=1), 1, atol=1e-5)


def test_assignment_is_the_nearest_centroid_in_any_block_size() -> None:
    vectors = blobs(1)
    centroids = train_centroids(vectors, 20, 10, seed=0)
    whole = assign(vectors, centroids)
    pieces = assign(vectors, centroids, block_rows=37, block_centroids=6)
    assert np.array_equal(whole.cluster, pieces.cluster)
    scores = unit_rows(vectors) @ centroids.T
    assert np.allclose(whole.cosine, scores.max(axis=1), atol=1e-6)
    assert np.array_equal(whole.cluster, scores.argmax(axis=1))


def test_fewer_vectors_than_clusters_are_their_own_centroids() -> None:
    vectors = blobs(2, blobs_=2, each=2)
    assert train_centroids(vectors, 10, 5, seed=0).shape == (4, vectors.shape[1])


def test_training_sample_is_seeded_and_without_repetition() -> None:
    rows = training_rows(1000, 100, seed=5)
    assert len(np.unique(rows)) == 100 and np.array_equal(rows, training_rows(1000, 100, seed=5))
    assert not np.array_equal(rows, training_rows(1000, 100, seed=6))
    assert np.array_equal(training_rows(50, 100, seed=5), np.arange(50))


def test_default_number_of_clusters_is_the_papers_at_the_papers_size() -> None:
    assert default_clusters(744_000_000, 7440) == 100_000
    assert default_clusters(10_000_000_000, 7440) == 100_000
    assert default_clusters(10_000, 7440) == 100
    assert default_clusters(0, 7440) == 1
