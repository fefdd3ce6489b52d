"""Patches as one matrix product are the strided convolution."""

from __future__ import annotations

import pytest
import torch

from contracts.errors import UserError
from trainer.layers.patch_embed import PatchEmbed


@pytest.mark.parametrize(("channels", "patch"), [(3, 14), (1, 4), (5, 8)])
def test_equals_the_convolution(channels: int, patch: int) -> None:
    embed = PatchEmbed(patch, channels, 16)
    images = torch.randn(2, channels, 3 * patch, 2 * patch)
    torch.testing.assert_close(embed(images), embed.proj(images).flatten(2).transpose(1, 2), atol=1e-5, rtol=1e-4)


def test_other_sizes_are_refused_with_one_that_fits() -> None:
    with pytest.raises(UserError, match="100x30 px is not a multiple of the patch size 14 px; use for instance 98x28"):
        PatchEmbed(14, 3, 8)(torch.zeros(1, 3, 100, 30))
