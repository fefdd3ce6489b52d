from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from curation.retrieve.nearest import Find, nearest_per_query


def finder(cosines: np.ndarray) -> Find:
    """Exact search over a table of cosines [Q, P]."""

    def find(queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        rows = np.argsort(-cosines[queries], axis=1, kind="stable")[:, :k].astype(np.int64)
        return np.take_along_axis(cosines[queries], rows, axis=1), rows

    return find


def greedy(cosines: np.ndarray, per_query: int) -> set[tuple[int, int]]:
    """The stable assignment, computed the slow way: best pair first."""
    q, p = cosines.shape
    pairs = sorted((-cosines[i, j], i, j) for i in range(q) for j in range(p))
    held, taken, out = Counter(), set(), set()
    for _, i, j in pairs:
        if j not in taken and held[i] < per_query:
            held[i] += 1
            taken.add(j)
            out.add((i, j))
    return out


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("per_query", [1, 3])
def test_replace_gives_every_query_its_full_number_of_distinct_images(seed: int, per_query: int) -> None:
    generator = np.random.default_rng(seed)
    # A strong common direction: most queries want the same images.
    cosines = (generator.random(60) + 0.2 * generator.random((12, 60))).astype(np.float32)
    found = nearest_per_query(finder(cosines), 12, 60, per_query, "replace", replace_depth=60)
    assert Counter(found.query.tolist()) == dict.fromkeys(range(12), per_query)
    assert len(set(found.row.tolist())) == 12 * per_query
    assert set(zip(found.query.tolist(), found.row.tolist(), strict=True)) == greedy(cosines, per_query)
    assert found.collision_rate > 0.1
    assert found.short_queries == 0


def test_rank_and_cosine_belong_to_the_pair() -> None:
    cosines = np.random.default_rng(3).random((7, 40)).astype(np.float32)
    found = nearest_per_query(finder(cosines), 7, 40, 4, "replace")
    for query, row, cosine, rank in zip(found.query, found.row, found.cosine, found.rank, strict=True):
        assert cosines[query, row] == cosine
        assert np.argsort(-cosines[query], kind="stable")[rank] == row


def test_policies_differ_only_in_who_keeps_a_contested_image() -> None:
    #                  a    b    c    d
    cosines = np.array([[0.9, 0.5, 0.1, 0.0], [0.8, 0.7, 0.2, 0.0]], np.float32)
    find = finder(cosines)
    keep = nearest_per_query(find, 2, 4, 2, "keep")
    assert list(zip(keep.query, keep.row, strict=True)) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert keep.collision_rate == 0.5
    drop = nearest_per_query(find, 2, 4, 2, "drop")
    assert list(zip(drop.query, drop.row, strict=True)) == [(0, 0), (1, 1)]
    assert drop.short_queries == 2
    replace = nearest_per_query(find, 2, 4, 2, "replace")
    assert list(zip(replace.query, replace.row, strict=True)) == [(0, 0), (0, 3), (1, 1), (1, 2)]
    assert replace.rank.tolist() == [0, 3, 1, 2]


def test_queries_beyond_the_pool_stay_short_and_are_counted() -> None:
    cosines = np.random.default_rng(0).random((6, 5)).astype(np.float32)
    found = nearest_per_query(finder(cosines), 6, 5, 2, "replace")
    assert sorted(found.row.tolist()) == list(range(5))
    assert found.short_queries >= 4
    assert nearest_per_query(finder(cosines), 6, 5, 9, "keep").short_queries == 6


def test_replace_depth_bounds_how_far_a_query_looks() -> None:
    cosines = np.tile(np.linspace(1, 0, 30, dtype=np.float32), (10, 1))
    found = nearest_per_query(finder(cosines), 10, 30, 1, "replace", replace_depth=4)
    assert sorted(found.row.tolist()) == [0, 1, 2, 3]
    assert found.query.tolist() == [0, 1, 2, 3], "equal cosines go to the lower query"
    assert found.short_queries == 6
