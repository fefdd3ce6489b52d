"""Chains: what each rule makes of them, and how a size limit cuts them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from curation.dedup.grouping import group_pairs
from curation.dedup.representative import keeping_order, key_order, representatives
from curation.index.join import Pairs


def chain(length: int, cosine: float = 0.97) -> Pairs:
    a = np.arange(length - 1, dtype=np.int64)
    return Pairs(a, a + 1, np.full(length - 1, cosine, np.float32))


def groups(labels: np.ndarray) -> list[list[int]]:
    return sorted(np.flatnonzero(labels == label).tolist() for label in np.unique(labels))


def test_connected_makes_one_group_of_a_chain_and_greedy_does_not() -> None:
    order = np.arange(12, dtype=np.int64)
    assert groups(group_pairs(chain(12), 12, "connected", order)) == [list(range(12))]
    # In order of keeping 0, 1, 2, ...: 0 takes 1, 2 takes 3, ...
    assert groups(group_pairs(chain(12), 12, "greedy", order)) == [[i, i + 1] for i in range(0, 12, 2)]


def test_greedy_follows_the_order_of_keeping() -> None:
    priority = np.array([1, 0, 2], np.int64)
    assert groups(group_pairs(chain(3), 3, "greedy", priority)) == [[0, 1, 2]]
    assert groups(group_pairs(chain(3), 3, "greedy", np.array([0, 1, 2], np.int64))) == [[0, 1], [2]]


def test_mutual_neighbours_drop_one_sided_links() -> None:
    pairs = Pairs(np.array([0, 1]), np.array([1, 2]), np.array([0.8, 0.9], np.float32))
    order = np.arange(3, dtype=np.int64)
    assert groups(group_pairs(pairs, 3, "mutual-knn", order, neighbors=1)) == [[0], [1, 2]]


def test_a_limit_splits_at_the_weakest_links_and_leaves_small_groups() -> None:
    pairs = Pairs(
        np.array([0, 1, 2, 4, 6]),
        np.array([1, 2, 3, 5, 7]),
        np.array([0.95, 0.70, 0.95, 0.95, 0.61], np.float32),
    )
    order = np.arange(8, dtype=np.int64)
    labels = group_pairs(pairs, 8, "connected", order, max_component=3)
    assert groups(labels) == [[0, 1], [2, 3], [4, 5], [6, 7]]


def test_a_limit_leaves_equal_vectors_together() -> None:
    pairs = Pairs(np.array([0, 0, 1]), np.array([1, 2, 2]), np.ones(3, np.float32))
    labels = group_pairs(pairs, 3, "connected", np.arange(3, dtype=np.int64), max_component=2)
    assert groups(labels) == [[0, 1, 2]]


def test_the_kept_image_has_most_pixels_then_most_bytes_then_the_smallest_key() -> None:
    width = np.array([10, 20, 20, 20])
    height = np.array([10, 10, 10, 10])
    size = np.array([900, 500, 700, 700])
    keys = pa.array(["a", "b", "d", "c"])
    priority = keeping_order(width, height, size, key_order(keys), np.zeros(len(keys), np.bool_))
    assert np.argsort(priority).tolist() == [3, 2, 1, 0]
    labels = np.zeros(4, np.int64)
    everyone = np.ones(4, np.bool_)
    assert representatives(labels, priority, everyone).tolist() == [3] * 4
    assert representatives(labels, priority, np.array([True, True, True, False])).tolist() == [2] * 4
    assert representatives(labels, priority, ~everyone).tolist() == [-1] * 4


@pytest.mark.parametrize("rule", ["connected", "greedy", "mutual-knn"])
def test_images_without_pairs_stay_alone(rule: str) -> None:
    none = Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
    assert group_pairs(none, 4, rule, np.arange(4, dtype=np.int64)).tolist() == [0, 1, 2, 3]
