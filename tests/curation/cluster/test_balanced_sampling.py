"""Quotas: as equal as sizes allow, exact in sum, seeded."""

from __future__ import annotations

import numpy as np
import pytest

from curation.cluster.balanced_sampling import quotas, sample_balanced
from curation.cluster.hierarchy import Level, without_images


def level(parent: list[int], clusters: int) -> Level:
    cosine = np.linspace(0.1, 0.9, len(parent)).astype(np.float32)
    return Level(np.eye(clusters, 8, dtype=np.float32), np.array(parent, np.int32), cosine)


@pytest.mark.parametrize("target", [0, 1, 7, 20, 33, 60, 111, 500])
def test_quotas_are_equal_but_for_small_clusters_and_one(target: int) -> None:
    sizes = np.array([100, 3, 0, 7, 1])
    given = quotas(sizes, target, np.random.default_rng(0))
    assert given.sum() == min(target, sizes.sum())
    assert (given <= sizes).all()
    full = given == sizes
    open_ = given[~full]
    if len(open_):
        assert open_.max() - open_.min() <= 1
        assert given[full].max(initial=0) <= open_.max() + 1


def two_levels() -> list[Level]:
    """Coarse A holds fine 0 (80 images) and 1 (10); coarse B holds fine 2 (6)."""
    return [level([0] * 80 + [1] * 10 + [2] * 6, 3), level([0, 0, 1], 2)]


def test_quotas_are_divided_from_the_top() -> None:
    rows = sample_balanced(two_levels(), 24, seed=0)
    fine = np.bincount(two_levels()[0].parent[rows], minlength=3)
    # 24 over two coarse clusters: B has only 6, so A gives 18, which its two fine clusters share.
    assert fine.tolist() == [9, 9, 6]
    assert len(np.unique(rows)) == 24


def test_closest_first_takes_the_closest_and_random_is_seeded() -> None:
    closest = sample_balanced(two_levels(), 6, seed=0, draw="closest")
    assert set(closest.tolist()) <= {78, 79, 88, 89, 93, 94, 95}
    one, two = sample_balanced(two_levels(), 24, seed=1), sample_balanced(two_levels(), 24, seed=2)
    assert np.array_equal(one, sample_balanced(two_levels(), 24, seed=1))
    assert not np.array_equal(one, two)


def test_images_that_were_pruned_are_not_drawn() -> None:
    kept = np.ones(96, np.bool_)
    kept[80:96] = False
    rows = sample_balanced(without_images(two_levels(), kept), 10, seed=0)
    assert len(rows) == 10 and np.flatnonzero(kept)[rows].max() < 80
