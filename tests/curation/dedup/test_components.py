"""The disjoint set gives the components that scipy gives, in one go or streamed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components as scipy_components

from curation.dedup.components import DisjointSet, connected_components


def same_partition(left: np.ndarray, right: np.ndarray) -> bool:
    both = np.stack([left, right], axis=1)
    return len(np.unique(both, axis=0)) == len(np.unique(left)) == len(np.unique(right))


@pytest.mark.parametrize(("nodes", "edges", "seed"), [(1000, 300, 0), (1000, 990, 1), (5000, 20_000, 2), (7, 0, 3)])
def test_components_equal_scipys(nodes: int, edges: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, nodes, edges), rng.integers(0, nodes, edges)
    labels = connected_components(nodes, a, b)
    _, truth = scipy_components(coo_array((np.ones(edges), (a, b)), shape=(nodes, nodes)), directed=False)
    assert same_partition(labels, truth)
    assert np.array_equal(labels[labels], labels) and (labels <= np.arange(nodes)).all()


def test_a_long_chain_in_a_bad_order_is_one_component() -> None:
    order = np.random.default_rng(4).permutation(20_000)
    assert (connected_components(20_000, order[:-1], order[1:]) == 0).all()


def test_streamed_edges_give_the_same_labels() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.integers(0, 3000, 2500), rng.integers(0, 3000, 2500)
    streamed = DisjointSet(3000)
    for start in range(0, 2500, 97):
        streamed.join(a[start : start + 97], b[start : start + 97])
    assert np.array_equal(streamed.labels(), connected_components(3000, a, b))
