"""Statistics of our masks against those of the official generators (official_mask_statistics.json)."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import numpy as np
import pytest
import scipy.ndimage

from trainer.data.masking.blocks import block_mask, max_block_patches

OFFICIAL = json.loads((Path(__file__).parent / "official_mask_statistics.json").read_text())
CASES = [name for name in OFFICIAL if "_t" in name]


@pytest.mark.parametrize("name", CASES)
def test_masks_have_the_statistics_of_the_official_ones(name: str) -> None:
    wanted = OFFICIAL[name]
    version, grid, _ = name.split("_")
    side = int(grid.split("x")[0])
    random = Random(name)
    draws = [
        block_mask((side, side), wanted["target"], wanted["max_num_patches"], random, exact_count=version == "dinov3")
        for _ in range(1500)
    ]
    masks = np.stack(draws)
    counts = masks.sum((1, 2))
    components = [scipy.ndimage.label(mask)[1] for mask in draws]
    frequency = masks.mean(0)
    border = np.concatenate([frequency[0], frequency[-1], frequency[1:-1, 0], frequency[1:-1, -1]]).mean()
    middle = slice(side // 2 - 1, side // 2 + 1)
    assert counts.max() <= wanted["count_max"]
    assert counts.mean() == pytest.approx(wanted["count_mean"], abs=0.05)
    assert (counts == wanted["target"]).mean() == pytest.approx(wanted["hit_target"], abs=0.03)
    assert np.mean(components) == pytest.approx(wanted["components_mean"], abs=0.12)
    assert border == pytest.approx(wanted["edge_freq"], abs=0.015)
    assert frequency[middle, middle].mean() == pytest.approx(wanted["centre_freq"], abs=0.05)


def test_the_largest_block_is_rounded_as_the_official_code_does() -> None:
    assert max_block_patches(224, 14) == OFFICIAL["dinov2_16x16_t64"]["max_num_patches"]
    assert max_block_patches(98, 14) == OFFICIAL["dinov2_7x7_t4"]["max_num_patches"]


def test_equal_seeds_give_equal_masks() -> None:
    one, same, other = (block_mask((16, 16), 90, 128, Random(seed)) for seed in (3, 3, 4))
    assert (one == same).all()
    assert (one != other).any()


@pytest.mark.parametrize("target", [0, 1, 3, 8])
def test_an_exact_count_is_exact_on_small_grids(target: int) -> None:
    for seed in range(40):
        assert block_mask((4, 4), target, 8, Random(seed), exact_count=True).sum() == target


def test_a_mask_is_made_of_rectangles() -> None:
    mask = block_mask((16, 16), 30, 128, Random(1))
    first_row = mask[mask.any(1)][0]
    assert first_row.sum() >= 2
    assert 20 <= mask.sum() <= 30
