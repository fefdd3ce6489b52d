"""Crops and tokens on another grid: places stay where they are."""

from __future__ import annotations

import pytest
import torch

from distill.matching_views import at_grid, side_for


def test_tokens_of_another_grid_lie_where_they_lay() -> None:
    """Tokens that name their own place: inside, away from the border, a ramp stays the ramp."""
    rows, columns = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    tokens = torch.stack([rows, columns], -1).view(1, 64, 2)
    found = at_grid(tokens, 4).view(4, 4, 2)
    assert torch.allclose(found[1:3, 1:3, 0], torch.tensor([[2.5, 2.5], [4.5, 4.5]]))
    assert torch.allclose(found[1:3, 1:3, 1], torch.tensor([[2.5, 4.5], [2.5, 4.5]]))
    assert at_grid(tokens, 8) is tokens


@pytest.mark.parametrize(("crop", "reference", "patch", "side"), [(224, 14, 16, 256), (20, 4, 4, 20), (96, 16, 8, 48)])
def test_side_that_gives_the_same_grid(crop: int, reference: int, patch: int, side: int) -> None:
    assert side_for(crop, reference, patch) == side
