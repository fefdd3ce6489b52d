"""A block compiles to one graph in all ways that a step calls it: no part of it falls back to Python."""

from __future__ import annotations

import pytest
import torch

from trainer.layers.block import Block, BlockSettings
from trainer.layers.packing import PackedLayout
from trainer.layers.stochastic_depth import draw_depth

LAYOUT = PackedLayout(((4, 5), (6, 3)))


@pytest.mark.parametrize("rate", [0.0, 0.4])
@pytest.mark.parametrize("rows", [None, torch.tensor([0, 5, 21])])
def test_one_graph_with_the_same_numbers(rate: float, rows: torch.Tensor | None) -> None:
    torch.manual_seed(0)
    block = Block(BlockSettings(dim=8, num_heads=2, layer_scale=1.0))
    x = torch.randn(LAYOUT.rows, 8, requires_grad=True)
    draw = draw_depth([rate], [4, 6])[0]
    expected = block(x, LAYOUT, None, draw, rows)
    found = torch.compile(block, backend="aot_eager", fullgraph=True)(x, LAYOUT, None, draw, rows)
    torch.testing.assert_close(found, expected)
    weight = torch.randn_like(expected)
    ours, theirs = (torch.autograd.grad((out * weight).sum(), [x, *block.parameters()]) for out in (found, expected))
    torch.testing.assert_close(ours, theirs)
