"""Joins and searches find every planted pair, whatever the index, and score it exactly."""

from __future__ import annotations

import numpy as np
import pytest

from curation.index.join import Pairs, cross_join, nearest_neighbors_only, self_join
from curation.index.lists import fill_overlapping, gap_for, train_lists
from curation.index.mirror_cosine import mirrored, pair_cosines, unit_rows
from curation.index.plan import EXACT_ROWS, plan_index
from curation.index.search import SearchBase, make_base, search


def planted(rows: int, dim: int, groups: int, size: int, seed: int, noise: float = 0.35) -> np.ndarray:
    """Unit float16 rows: `groups` groups of `size` noisy copies of one direction, the rest at random."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((rows, dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    for group in range(groups):
        own = slice(group * size, (group + 1) * size)
        vectors[own] = vectors[group * size] + noise * vectors[own]
    order = rng.permutation(rows)
    return unit_rows(vectors[order]).astype(np.float16)


def brute_pairs(vectors: np.ndarray, min_cosine: float, odd_dims: int = 0) -> set[tuple[int, int]]:
    x = vectors.astype(np.float64)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    even = x.shape[1] - odd_dims
    cosine = x[:, :even] @ x[:, :even].T + np.abs(x[:, even:] @ x[:, even:].T)
    a, b = np.nonzero(np.triu(cosine > min_cosine, 1))
    return set(zip(a.tolist(), b.tolist(), strict=True))


@pytest.mark.parametrize("odd_dims", [0, 20])
def test_exact_join_equals_brute_force(odd_dims: int) -> None:
    vectors = planted(2500, 48, groups=40, size=6, seed=1)
    pairs = self_join(vectors, 0.6, plan_index(len(vectors), 48, "exact"), odd_dims=odd_dims)
    found = set(zip(pairs.a.tolist(), pairs.b.tolist(), strict=True))
    assert found == brute_pairs(vectors, 0.6, odd_dims)
    assert len(found) >= 40 * 15
    assert np.allclose(pairs.cosine, pair_cosines(vectors, vectors, pairs.a, pairs.b, odd_dims))
    assert pairs.cosine.min() > 0.6


@pytest.mark.parametrize("odd_dims", [0, 32])
def test_lists_find_nearly_all_pairs_that_exact_finds(odd_dims: int) -> None:
    vectors = planted(6000, 64, groups=150, size=8, seed=2)
    # High enough that chance pairs, which no index groups, are rare.
    least = 0.7
    exact = self_join(vectors, least, plan_index(6000, 64, "exact"), odd_dims=odd_dims)
    lists = self_join(vectors, least, plan_index(6000, 64, "ivf", lists=64, overlap=6), odd_dims=odd_dims)
    all_pairs = set(zip(exact.a.tolist(), exact.b.tolist(), strict=True))
    found = list(zip(lists.a.tolist(), lists.b.tolist(), strict=True))
    assert set(found) <= all_pairs and len(set(found)) == len(found)
    assert len(found) > 0.98 * len(all_pairs)
    # One list per vector finds fewer, so the number above is the overlap's work and not a brute force in disguise.
    one = self_join(vectors, least, plan_index(6000, 64, "ivf", lists=64, overlap=1), odd_dims=odd_dims)
    assert len(one) < 0.97 * len(lists)


def test_a_vector_is_in_as_many_lists_as_asked_on_average_and_always_in_its_nearest() -> None:
    vectors = planted(3000, 32, groups=50, size=8, seed=2)
    centroids = train_lists(vectors, 50, 0)
    gap = gap_for(vectors, centroids, 0, 5)
    listed = fill_overlapping(vectors, centroids, 0, gap, most=12)
    times = np.bincount(listed.order, minlength=3000)
    assert 4 < times.mean() < 6 and times.min() >= 1 and times.max() <= 12
    nearest = (unit_rows(vectors) @ centroids.T).argmax(axis=1)
    assert all(row in listed.rows(nearest[row]) for row in range(0, 3000, 97))


def test_a_group_larger_than_k_keeps_all_its_pairs_without_a_limit_of_neighbours() -> None:
    vectors = planted(600, 32, groups=1, size=100, seed=3, noise=0.2)
    plan = plan_index(600, 32, "exact")
    assert len(self_join(vectors, 0.85, plan)) == 100 * 99 // 2
    limited = self_join(vectors, 0.85, plan, neighbors=10)
    assert 100 * 10 // 2 <= len(limited) <= 100 * 10


def test_nearest_neighbours_are_counted_from_both_sides() -> None:
    # 0 is nearest to 1; 1 and 2 are nearest to each other; 0-2 is the weakest pair.
    pairs = Pairs(np.array([0, 0, 1]), np.array([1, 2, 2]), np.array([0.8, 0.7, 0.9], np.float32))
    either = nearest_neighbors_only(pairs, 3, 1)
    assert list(zip(either.a, either.b, strict=True)) == [(0, 1), (1, 2)]
    both = nearest_neighbors_only(pairs, 3, 1, mutual=True)
    assert list(zip(both.a, both.b, strict=True)) == [(1, 2)]


def test_a_mirrored_vector_is_the_same_picture() -> None:
    vectors = planted(50, 40, groups=0, size=1, seed=4)
    both = np.concatenate([vectors, mirrored(vectors, 15)])
    pairs = self_join(both, 0.999, plan_index(100, 40, "exact"), odd_dims=15)
    assert list(zip(pairs.a, pairs.b, strict=True)) == [(i, i + 50) for i in range(50)]
    assert len(self_join(both, 0.999, plan_index(100, 40, "exact"))) == 0


@pytest.mark.parametrize("kind", ["exact", "ivf"])
def test_cross_join_finds_copies_between_two_sets(kind: str) -> None:
    base = planted(3000, 48, groups=0, size=1, seed=5)
    queries = np.concatenate([base[[10, 2000]], planted(20, 48, groups=0, size=1, seed=6)])
    plan = plan_index(3000, 48, kind, lists=32)
    pairs = cross_join(queries, base, 0.9, plan)
    assert list(zip(pairs.a, pairs.b, strict=True)) == [(0, 10), (1, 2000)]


def test_the_join_is_the_same_twice_and_whatever_the_blocks() -> None:
    vectors = planted(3000, 32, groups=50, size=5, seed=7)
    plan = plan_index(3000, 32, "ivf", lists=40)
    first, second = self_join(vectors, 0.5, plan), self_join(vectors, 0.5, plan)
    assert np.array_equal(first.a, second.a) and np.array_equal(first.b, second.b)
    assert np.array_equal(first.cosine, second.cosine)


@pytest.mark.parametrize("kind", ["exact", "ivf"])
def test_search_returns_the_nearest_rows_in_order(kind: str) -> None:
    base = planted(4000, 32, groups=100, size=10, seed=8)
    queries = base[:64]
    cosines, rows = search(queries, make_base(base, plan_index(4000, 32, kind, lists=32, probes=32), odd_dims=8), 10)
    truth = unit_rows(queries).astype(np.float64) @ unit_rows(base).T.astype(np.float64)
    even = unit_rows(queries)[:, :24] @ unit_rows(base)[:, :24].T
    truth = even + np.abs(unit_rows(queries)[:, 24:] @ unit_rows(base)[:, 24:].T)
    assert np.allclose(cosines, np.sort(truth, axis=1)[:, ::-1][:, :10], atol=2e-6)
    assert (rows[:, 0] == np.arange(64)).all()
    assert (np.diff(cosines, axis=1) <= 0).all()


def test_search_in_a_base_smaller_than_k_marks_what_is_missing() -> None:
    base = planted(3, 16, groups=0, size=1, seed=9)
    cosines, rows = search(base[:1], SearchBase(base), 5)
    assert (rows[0, 3:] == -1).all() and np.isneginf(cosines[0, 3:]).all()
    assert set(rows[0, :3].tolist()) == {0, 1, 2}


def test_the_plan_is_exact_for_small_sets_and_says_its_parameters() -> None:
    assert plan_index(EXACT_ROWS, 256).kind == "exact"
    large = plan_index(EXACT_ROWS + 1, 256)
    assert large.kind == "ivf" and large.lists > 500 and 1 < large.probes < large.lists
    assert f"{large.lists:,} lists" in large.describe()
    assert plan_index(10, 8, "ivf").lists <= 10
