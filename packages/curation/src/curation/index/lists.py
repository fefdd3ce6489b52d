"""Vectors in lists around centroids: training, assignment, and which lists are compared with which.

Dimensions: N rows, D width, L lists, O odd coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.index.kmeans import assign, train_centroids, training_rows
from curation.index.mirror_cosine import Floats, cosine_block, unit_rows

TRAIN_ROWS_PER_LIST = 48
TRAIN_ITERATIONS = 10


@dataclass(frozen=True)
class ListedVectors:
    """Rows grouped by list. `order[starts[l]:starts[l + 1]]` are the row numbers of list l, ascending."""

    centroids: Floats
    order: NDArray[np.int64]
    starts: NDArray[np.int64]

    @property
    def lists(self) -> int:
        """Number of lists."""
        return len(self.centroids)

    def rows(self, number: int) -> NDArray[np.int64]:
        """Row numbers of one list."""
        return self.order[self.starts[number] : self.starts[number + 1]]


def train_lists(vectors: NDArray[np.floating[Any]], lists: int, odd_dims: int, seed: int = 0) -> Floats:
    """Centroids [L, D] from a seeded sample.

    With odd coordinates the sampled rows are first turned to one side (sign of their projection on the direction of
    largest variance), so that a picture and its mirror image do not train two centroids.
    """
    sample = unit_rows(vectors[training_rows(len(vectors), lists * TRAIN_ROWS_PER_LIST, seed)])
    if odd_dims:
        even = sample.shape[1] - odd_dims
        odd = sample[:, even:]
        values, directions = np.linalg.eigh(odd.T.astype(np.float64) @ odd)
        side = odd @ directions[:, values.argmax()].astype(np.float32)
        sample[side < 0, even:] *= -1
    return train_centroids(sample, lists, TRAIN_ITERATIONS, seed)


def fill_lists(vectors: NDArray[np.floating[Any]], centroids: Floats, odd_dims: int) -> ListedVectors:
    """Every row in the list of its nearest centroid."""
    assignment = assign(vectors, centroids, odd_dims)
    order = np.argsort(assignment.cluster, kind="stable").astype(np.int64)
    counts = np.bincount(assignment.cluster, minlength=len(centroids))
    return ListedVectors(centroids, order, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))


def nearest_lists(queries: Floats, centroids: Floats, probes: int, odd_dims: int) -> NDArray[np.int64]:
    """The `probes` nearest centroids of each query, best first. Shapes: [N, D], [L, D] -> [N, probes]."""
    probes = min(probes, len(centroids))
    out = np.empty((len(queries), probes), np.int64)
    for start in range(0, len(queries), 1024):
        scores = cosine_block(queries[start : start + 1024], centroids, odd_dims)
        top = np.argpartition(-scores, probes - 1, axis=1)[:, :probes]
        by_score = np.argsort(-np.take_along_axis(scores, top, axis=1), axis=1, kind="stable")
        out[start : start + 1024] = np.take_along_axis(top, by_score, axis=1)
    return out


def list_pairs(centroids: Floats, probes: int, odd_dims: int) -> NDArray[np.int64]:
    """Pairs of lists (a <= b) to compare, each once, sorted: every list with its `probes` nearest, itself included."""
    near = nearest_lists(centroids, centroids, probes, odd_dims)
    own = np.arange(len(centroids), dtype=np.int64)
    left = np.concatenate([np.repeat(own, near.shape[1]), own])
    right = np.concatenate([near.ravel(), own])
    return np.unique(np.stack([np.minimum(left, right), np.maximum(left, right)], axis=1), axis=0)
