from __future__ import annotations

import numpy as np
import pytest

from trainer.data.order import EpochOrder, permute


@pytest.mark.parametrize("size", [1, 2, 3, 5, 16, 17, 1000])
def test_permute_is_a_permutation_for_every_key(size: int) -> None:
    for key in ((0,), (1,), (7, -1)):
        assert sorted(permute(np.arange(size), size, key)) == list(range(size))


def test_permute_moves_values_far_and_differs_between_keys() -> None:
    first, second = permute(np.arange(5000), 5000, (1, 0)), permute(np.arange(5000), 5000, (1, 1))
    assert (first == second).mean() < 0.01
    assert abs(np.corrcoef(np.arange(5000), first)[0, 1]) < 0.05
    assert abs(np.corrcoef(first[:-1], first[1:])[0, 1]) < 0.05


def test_permute_of_some_values_equals_that_of_all() -> None:
    whole = permute(np.arange(100_000), 100_000, (3,))
    some = np.asarray([0, 99_999, 5, 70_000])
    assert permute(some, 100_000, (3,)).tolist() == whole[some].tolist()


@pytest.mark.parametrize(("blocks", "at_once"), [([10], 1), ([3, 4, 2, 5], 1), ([3, 4, 2, 5, 6], 2), ([1] * 7, 3)])
def test_every_epoch_meets_every_image_once(blocks: list[int], at_once: int) -> None:
    order = EpochOrder(np.asarray(blocks), at_once, seed=5)
    total = sum(blocks)
    stream = order.image_at(np.arange(3 * total))
    epochs = stream.reshape(3, total)
    for epoch in epochs:
        assert sorted(epoch) == list(range(total))
    assert not (epochs[0] == epochs[1]).all()


def test_windows_keep_to_their_blocks() -> None:
    blocks = np.full(40, 50)
    stream = EpochOrder(blocks, 4, seed=0).image_at(np.arange(2000))
    for window in stream.reshape(10, 200):
        assert len(np.unique(window // 50)) == 4


def test_a_position_does_not_depend_on_what_was_asked_before() -> None:
    whole = EpochOrder(np.asarray([8, 8, 8]), 2, seed=9).image_at(np.arange(100))
    order = EpochOrder(np.asarray([8, 8, 8]), 2, seed=9)
    for position in (99, 0, 50, 23, 24):
        assert order.image_at(np.asarray([position]))[0] == whole[position]


def test_other_seeds_give_other_orders() -> None:
    one, other = (EpochOrder(np.asarray([1000]), 1, seed).image_at(np.arange(1000)) for seed in (0, 1))
    assert (one == other).mean() < 0.02


def test_a_hundred_million_images_cost_no_table() -> None:
    order = EpochOrder(np.asarray([100_000_000]), 1, seed=0)
    images = order.image_at(np.arange(99_999_900, 100_000_100))
    assert len(np.unique(images)) == 200
    assert images.max() < 100_000_000
