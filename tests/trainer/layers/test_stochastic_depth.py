"""Computing a branch on the kept samples only equals computing it on all and dropping the others."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from trainer.layers.block import Block, BlockSettings
from trainer.layers.packing import PackedLayout
from trainer.layers.stochastic_depth import (
    AddKept,
    GatherKept,
    KeptRows,
    draw_depth,
    draws_from_list,
    draws_on,
    kept_samples,
    residual_scales,
)

LAYOUT = PackedLayout(((6, 3), (5, 2)))


def dense_depth(block: Block, x: Tensor, kept: list[tuple[Tensor, ...]]) -> Tensor:
    """The plain definition: residual * b / keep on kept samples, 0 on the others."""
    for norm, branch, scale, indices in (
        (block.norm1, lambda r: attention(block, r), block.ls1, kept[0]),
        (block.norm2, block.mlp, block.ls2, kept[1]),
    ):
        gates = [
            torch.zeros(b, 1, 1, dtype=x.dtype).index_fill(0, index, b / len(index))
            for index, (b, _) in zip(indices, LAYOUT.groups, strict=True)
        ]
        gate = torch.cat([g.expand(-1, n, -1).flatten(0, 1) for g, (_, n) in zip(gates, LAYOUT.groups, strict=True)])
        x = x + gate * scale(branch(norm(x)))
    return x


def attention(block: Block, rows: Tensor) -> Tensor:
    from trainer.layers.attention import PackedContext

    return block.attn(rows, PackedContext(LAYOUT))


def test_kept_subset_equals_dropping_samples_of_the_full_residual() -> None:
    torch.manual_seed(0)
    block = Block(BlockSettings(dim=8, num_heads=2, layer_scale=0.5)).double()
    x = torch.randn(LAYOUT.rows, 8, dtype=torch.float64, requires_grad=True)
    (draw,) = draw_depth([0.4], [6, 5])
    assert draw is not None
    assert [len(i) for i in draw.attention] == [3, 3]
    out = block(x, LAYOUT, draw=draw)
    expected = dense_depth(block, x, [draw.attention, draw.ffn])
    torch.testing.assert_close(out, expected)
    weight = torch.randn_like(out)
    parameters = [x, *block.parameters()]
    ours = torch.autograd.grad((out * weight).sum(), parameters)
    theirs = torch.autograd.grad((expected * weight).sum(), parameters)
    torch.testing.assert_close(ours, theirs)


def test_gradients_of_gather_and_add() -> None:
    rows = KeptRows.of([torch.tensor([4, 1]), torch.tensor([0, 3, 2])], LAYOUT, torch.device("cpu"))
    x = torch.randn(LAYOUT.rows, 2, dtype=torch.float64, requires_grad=True)
    residual = torch.randn(rows.kept.rows, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a: GatherKept.apply(a, rows), [x])
    assert torch.autograd.gradcheck(lambda a, r: AddKept.apply(a, r, rows), [x, residual])


@pytest.mark.parametrize(("samples", "rate", "kept"), [(4, 0.4, 2), (8, 0.3, 5), (1, 0.9, 1), (128, 0.3, 89)])
def test_number_of_kept_samples(samples: int, rate: float, kept: int) -> None:
    assert kept_samples(samples, rate) == kept


def test_draws_follow_the_official_order_of_the_default_generator() -> None:
    rates, groups = [0.5, 0.0, 0.5], [4, 6]
    torch.manual_seed(7)
    draws = draw_depth(rates, groups)
    torch.manual_seed(7)
    official = [torch.randperm(b)[: b // 2] for _block in (0, 2) for _branch in ("attention", "ffn") for b in groups]
    assert draws[1] is None
    rebuilt = draws_from_list(official, rates, num_groups=2)
    for ours, theirs in zip(draws, rebuilt, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None and theirs is not None:
            for a, b in zip(ours.attention + ours.ffn, theirs.attention + theirs.ffn, strict=True):
                assert torch.equal(a, b)
    assert not torch.equal(draws[0].attention[1], draws[0].ffn[1])  # type: ignore[union-attr]


def test_draws_move_to_a_device_together() -> None:
    draws = draw_depth([0.0, 0.5, 0.3], [6, 5])
    moved = draws_on(draws, torch.device("cpu"))
    assert moved[0] is None
    for draw, other in zip(draws[1:], moved[1:], strict=True):
        assert draw is not None and other is not None
        for one, two in zip((*draw.attention, *draw.ffn), (*other.attention, *other.ffn), strict=True):
            assert torch.equal(one, two)
    elsewhere = draws_on(draws, torch.device("meta"))[1]
    assert elsewhere is not None
    assert {index.device.type for index in (*elsewhere.attention, *elsewhere.ffn)} == {"meta"}
    assert residual_scales(elsewhere.ffn, LAYOUT, torch.device("meta")).shape == (LAYOUT.rows,)


def test_recorded_draws_of_the_wrong_number_are_refused() -> None:
    with pytest.raises(ValueError, match="3 recorded draws"):
        draws_from_list([torch.tensor([0])] * 3, [0.5], num_groups=2)


def test_dropped_samples_pass_through_unchanged() -> None:
    block: nn.Module = Block(BlockSettings(dim=8, num_heads=2, layer_scale=None))
    x = torch.randn(LAYOUT.rows, 8)
    (draw,) = draw_depth([0.8], [6, 5])
    assert draw is not None
    out = LAYOUT.split(block(x, LAYOUT, draw=draw))[0]
    touched = {int(i) for i in torch.cat([draw.attention[0], draw.ffn[0]])}
    for sample in range(6):
        assert torch.equal(out[sample], LAYOUT.split(x)[0][sample]) == (sample not in touched)
