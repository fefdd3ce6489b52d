from __future__ import annotations

import pytest

from curation.retrieve.scaled_limits import cluster_limits, mode_for, sample_above_images


def test_the_defaults_are_the_papers_at_the_papers_size() -> None:
    assert sample_above_images(None, 744_000_000) == 1_000_000
    limits = cluster_limits(None, None, 744_000_000, 100_000)
    assert (limits.per_cluster, limits.max_per_seed) == (10_000, 1_000_000)


def test_the_defaults_keep_the_proportions_of_a_small_pool() -> None:
    limits = cluster_limits(None, None, 3000, 50)
    assert limits.per_cluster == 81  # 1.344 of a mean cluster of 60
    assert limits.max_per_seed == 8100
    assert sample_above_images(None, 7440) == 10


def test_what_was_asked_wins() -> None:
    assert sample_above_images(5, 10**9) == 5
    limits = cluster_limits(7, 9, 744_000_000, 100_000)
    assert (limits.per_cluster, limits.max_per_seed) == (7, 9)


@pytest.mark.parametrize(
    ("asked", "images", "mode"),
    [
        ("auto", 11, "sample"),
        ("auto", 10, "cluster"),
        ("sample", 1, "sample"),
        ("cluster", 99, "cluster"),
        ("none", 99, "none"),
    ],
)
def test_auto_goes_by_the_size_of_the_seed(asked: str, images: int, mode: str) -> None:
    assert mode_for(asked, images, 10) == mode
