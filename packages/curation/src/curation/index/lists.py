"""Vectors in lists around centroids: training, assignment to one list or to several, nearest lists.

Dimensions: N rows, D width, L lists, O odd coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.index.kmeans import Nearest, assign, train_centroids, training_rows
from curation.index.mirror_cosine import Floats, cosine_block, unit_rows

TRAIN_ROWS_PER_LIST = 32
TRAIN_ITERATIONS = 6
BLOCK_ROWS = 1024
GAP_SAMPLE = 4096


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


def fill_lists(
    vectors: NDArray[np.floating[Any]], centroids: Floats, odd_dims: int, nearest: Nearest = assign
) -> ListedVectors:
    """Every row in the list of its nearest centroid, which `nearest` finds."""
    assignment = nearest(vectors, centroids, odd_dims)
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


def lists_of_rows(
    vectors: NDArray[np.floating[Any]], centroids: Floats, odd_dims: int, gap: float, most: int
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Every row with each list whose centroid is nearly as near as the nearest: at most `gap` less of cosine.

    Two rows near each other then share a list although each has another nearest centroid. `most` bounds the lists of a
    row; the nearest stay. Returns (row, list) sorted by row and list.
    """
    rows, lists = [np.empty(0, np.int64)], [np.empty(0, np.int32)]
    for start in range(0, len(vectors), BLOCK_ROWS):
        scores = cosine_block(unit_rows(vectors[start : start + BLOCK_ROWS]), centroids, odd_dims)
        near = scores >= scores.max(axis=1, keepdims=True) - np.float32(gap)
        crowded = np.flatnonzero(near.sum(axis=1) > most)
        if len(crowded):
            kept = np.argpartition(-scores[crowded], most - 1, axis=1)[:, :most]
            near[crowded] = False
            near[crowded[:, None], kept] = True
        found = np.flatnonzero(near)  # ten times faster than nonzero of two axes
        rows.append(found // len(centroids) + start)
        lists.append((found % len(centroids)).astype(np.int32))
    return np.concatenate(rows), np.concatenate(lists)


def fill_overlapping(
    vectors: NDArray[np.floating[Any]], centroids: Floats, odd_dims: int, gap: float, most: int
) -> ListedVectors:
    """Rows in their lists as `lists_of_rows` finds them: in `order` a row occurs once per list."""
    rows, chosen = lists_of_rows(vectors, centroids, odd_dims, gap, most)
    counts = np.bincount(chosen, minlength=len(centroids))
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return ListedVectors(centroids, rows[np.argsort(chosen, kind="stable")], starts)


def gap_for(
    vectors: NDArray[np.floating[Any]], centroids: Floats, odd_dims: int, overlap: float, seed: int = 0
) -> float:
    """The gap at which a row is in `overlap` lists on average, from a seeded sample of rows."""
    sample = unit_rows(vectors[training_rows(len(vectors), GAP_SAMPLE, seed)])
    scores = cosine_block(sample, centroids, odd_dims)
    gaps = (scores.max(axis=1, keepdims=True) - scores).ravel()
    place = min(len(gaps) - 1, max(0, round(overlap * len(sample)) - 1))
    return float(np.partition(gaps, place)[place])
