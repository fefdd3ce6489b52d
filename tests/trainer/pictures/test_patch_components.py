"""Patches as colours: like patches get like colours, and a sign that flips is flipped back."""

from __future__ import annotations

import numpy as np
import torch

from trainer.pictures.patch_components import patch_colours


def test_two_kinds_of_patches_get_two_colours_in_all_images() -> None:
    torch.manual_seed(0)
    kinds = torch.randn(2, 32)
    which = torch.randint(2, (3, 16))
    colours = patch_colours(kinds[which] + 0.01 * torch.randn(3, 16, 32))
    assert colours.shape == (3, 4, 4, 3) and colours.dtype == np.uint8
    red = colours.reshape(3, 16, 3)[..., 0]
    ends = [red[which == kind] for kind in (0, 1)]
    assert min(ends, key=np.mean).max() < 60 < 200 < max(ends, key=np.mean).min()


def test_colours_follow_those_of_the_step_before() -> None:
    torch.manual_seed(0)
    patches = torch.randn(2, 9, 16)
    before = patch_colours(patches)
    assert np.array_equal(patch_colours(patches, before), before)
    turned = 255 - before
    assert np.abs(patch_colours(patches, turned).astype(int) - turned).max() <= 1


def test_narrow_and_constant_features_have_colours_too() -> None:
    assert patch_colours(torch.ones(1, 4, 8)).shape == (1, 2, 2, 3)
    assert patch_colours(torch.randn(1, 4, 2))[..., 2].max() == 0
    assert patch_colours(torch.full((1, 4, 8), torch.nan)).max() == 0
