from __future__ import annotations

import json
from pathlib import Path
from random import Random

import numpy as np
import pytest

from contracts.config import validate_config
from contracts.errors import ConfigError
from trainer.data.masking.batch_masks import batch_masks, mask_targets
from trainer.data.masking.settings import MaskingSettings

OFFICIAL = json.loads((Path(__file__).parent / "official_mask_statistics.json").read_text())


@pytest.mark.parametrize(("name", "crop_px", "images"), [("collate_98_B8", 98, 8), ("collate_224_B64", 224, 64)])
def test_batches_have_the_statistics_of_the_official_collate(name: str, crop_px: int, images: int) -> None:
    wanted = OFFICIAL[name]
    settings = MaskingSettings(never_empty=False)
    batches = [batch_masks(settings, crop_px, 14, range(2 * images), 2 * images, str(n)) for n in range(1200 // images)]
    totals = [masks.sum() for masks in batches]
    spread = wanted["n_masked_std"]
    assert np.mean(totals) == pytest.approx(wanted["n_masked_mean"], abs=4 * spread / len(batches) ** 0.5)
    assert max(totals) <= wanted["upperbound"]
    ratios = np.concatenate(batches).mean(1)
    assert (ratios == 0).mean() == wanted["fraction_zero_mask"]
    assert ratios[ratios > 0].mean() == pytest.approx(wanted["mean_ratio_of_masked_crops"], abs=0.005)


def test_ratios_are_one_from_each_stratum() -> None:
    targets = mask_targets(MaskingSettings(), 20, 1000, Random(0))
    masked = sorted(target for target in targets if target is not None)
    assert len(masked) == 10
    for stratum, target in enumerate(masked):
        assert 100 + 40 * stratum - 1 <= target <= 140 + 40 * stratum
    assert mask_targets(MaskingSettings(), 20, 1000, Random(1)) != targets


def test_exact_counts_are_the_upper_ends() -> None:
    masks = batch_masks(MaskingSettings(exact_count=True), 224, 14, range(8), 8, "x")
    assert sorted(masks.sum(1)) == [0, 0, 0, 0, 51, 76, 102, 128]


def test_small_grids_are_never_empty_unless_asked() -> None:
    guarded = [batch_masks(MaskingSettings(), 16, 4, range(8), 8, str(n)) for n in range(60)]
    assert all((masks.any(1).sum()) == 4 for masks in guarded)
    bare = [batch_masks(MaskingSettings(never_empty=False), 16, 4, range(8), 8, str(n)) for n in range(60)]
    assert any((masks.any(1).sum()) < 4 for masks in bare)


def test_a_part_of_the_crops_gets_the_masks_it_has_in_the_whole() -> None:
    whole = batch_masks(MaskingSettings(), 98, 14, range(16), 16, "7:3")
    part = batch_masks(MaskingSettings(), 98, 14, [2, 3, 10, 11], 16, "7:3")
    assert (part == whole[[2, 3, 10, 11]]).all()
    assert (whole != batch_masks(MaskingSettings(), 98, 14, range(16), 16, "7:4")).any()


def test_no_masking() -> None:
    assert not batch_masks(MaskingSettings(probability=0.0), 98, 14, range(8), 8, "x").any()


def test_a_ratio_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ConfigError, match="smaller first"):
        validate_config(MaskingSettings, {"ratio": [0.5, 0.1]}, where="test")
