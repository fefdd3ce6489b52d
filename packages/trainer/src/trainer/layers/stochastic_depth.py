"""Efficient stochastic depth: a residual branch is computed for a random subset of the samples only.

Of each crop group of b samples keep = max(int(b * (1 - rate)), 1) are kept; their residual is scaled by b / keep.
Attention and feed-forward draw apart. Source: DINOv2 (arXiv 2304.07193), section 5, and the official code.
Dimensions: T packed rows, T' kept rows, D width (layers/packing.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainer.layers.packing import PackedLayout


@dataclass(frozen=True)
class BlockDraw:
    """Kept samples of one block: indices per crop group, for attention and for the feed-forward branch."""

    attention: tuple[Tensor, ...]
    ffn: tuple[Tensor, ...]


DepthDraws = Sequence[BlockDraw | None]
"""One entry per block; None computes the block on every sample."""


def kept_samples(samples: int, rate: float) -> int:
    """How many of a group's samples a branch is computed for."""
    return max(int(samples * (1 - rate)), 1)


def draw_depth(
    rates: Sequence[float], group_sizes: Sequence[int], generator: torch.Generator | None = None
) -> list[BlockDraw | None]:
    """Draw the kept samples of every block, on the CPU.

    The order (block; attention, then feed-forward; groups) and the call (randperm) are the official ones, so the
    same seed of the default generator gives the same subsets as the official code on CPU.
    """

    def branch(rate: float) -> tuple[Tensor, ...]:
        return tuple(torch.randperm(b, generator=generator)[: kept_samples(b, rate)] for b in group_sizes)

    return [BlockDraw(attention=branch(rate), ffn=branch(rate)) if rate > 0 else None for rate in rates]


def draws_from_list(recorded: Sequence[Tensor], rates: Sequence[float], num_groups: int) -> list[BlockDraw | None]:
    """Rebuild draws from index tensors recorded in the order of draw_depth."""
    wanted = 2 * num_groups * sum(rate > 0 for rate in rates)
    if len(recorded) != wanted:
        raise ValueError(f"{len(recorded)} recorded draws, but {num_groups} groups and these rates need {wanted}")
    rest = iter(recorded)

    def branch() -> tuple[Tensor, ...]:
        return tuple(next(rest) for _ in range(num_groups))

    return [BlockDraw(attention=branch(), ffn=branch()) if rate > 0 else None for rate in rates]


def draws_on(draws: DepthDraws, device: torch.device) -> DepthDraws:
    """The same draws on a device, in one copy: a copy for each branch of each block would hold a GPU up."""
    branches = [branch for draw in draws if draw is not None for branch in (draw.attention, draw.ffn)]
    indices = [index for branch in branches for index in branch]
    if not indices:
        return draws
    whole = torch.cat(indices)
    if device.type == "cuda" and whole.device.type == "cpu":
        whole = whole.pin_memory()
    rest = iter(torch.split(whole.to(device, non_blocking=True), [len(index) for index in indices]))

    def moved(branch: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(next(rest) for _ in branch)

    return [draw and BlockDraw(attention=moved(draw.attention), ffn=moved(draw.ffn)) for draw in draws]


def residual_scales(
    indices: Sequence[Tensor], layout: PackedLayout, device: torch.device, dtype: torch.dtype = torch.float32
) -> Tensor:
    """What multiplies the residual of every packed row: b / keep for kept samples, 0 for others. Shapes: [T]."""
    scales = [
        torch.zeros(b, device=kept.device, dtype=dtype).index_fill(0, kept, b / len(kept)).repeat_interleave(tokens)
        for kept, (b, tokens) in zip(indices, layout.groups, strict=True)
    ]
    return torch.cat(scales).to(device, non_blocking=True)


@dataclass(frozen=True)
class KeptRows:
    """The kept samples of a packed matrix, their own layout, and the scale of their residuals."""

    indices: tuple[Tensor, ...]
    full: PackedLayout
    kept: PackedLayout

    @classmethod
    def of(cls, indices: Sequence[Tensor], full: PackedLayout, device: torch.device) -> KeptRows:
        """Take the given samples of each group."""
        kept = tuple((len(i), tokens) for i, (_, tokens) in zip(indices, full.groups, strict=True))
        on_device = tuple(i.to(device, non_blocking=True) for i in indices)
        return cls(on_device, full, PackedLayout(kept))

    @property
    def scales(self) -> list[float]:
        """b / keep of each group."""
        return [b / k for (b, _), (k, _) in zip(self.full.groups, self.kept.groups, strict=True)]

    def gather(self, packed: Tensor, scaled: bool = False) -> Tensor:
        """Rows of the kept samples, times the group's scale where asked. Shapes: [T, D] -> [T', D]."""
        out = packed.new_empty(self.kept.rows, packed.shape[1])
        parts = zip(self.full.split(packed), self.kept.split(out), self.indices, self.scales, strict=True)
        for source, target, index, scale in parts:
            torch.index_select(source, 0, index, out=target)
            if scaled and scale != 1.0:
                target.mul_(scale)
        return out

    def add_to(self, packed: Tensor, residual: Tensor) -> None:
        """Add scaled residuals to the kept rows, in place. Shapes: packed [T, D], residual [T', D]."""
        parts = zip(self.full.split(packed), self.kept.split(residual), self.indices, self.scales, strict=True)
        for target, source, index, scale in parts:
            target.index_add_(0, index, source.to(target.dtype), alpha=scale)


class GatherKept(torch.autograd.Function):
    """Differentiable KeptRows.gather."""

    @staticmethod
    def forward(ctx: Any, packed: Tensor, rows: KeptRows) -> Tensor:
        ctx.rows = rows
        return rows.gather(packed)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        rows: KeptRows = ctx.rows
        out = grads[0].new_zeros(rows.full.rows, grads[0].shape[1])
        parts = zip(rows.full.split(out), rows.kept.split(grads[0]), rows.indices, strict=True)
        for target, source, index in parts:
            target.index_copy_(0, index, source)
        return out, None


class AddKept(torch.autograd.Function):
    """packed + scaled residuals of the kept rows; a fresh tensor, so that no saved value is overwritten."""

    @staticmethod
    def forward(ctx: Any, packed: Tensor, residual: Tensor, rows: KeptRows) -> Tensor:
        ctx.rows = rows
        ctx.residual_dtype = residual.dtype
        out = packed.clone()
        rows.add_to(out, residual)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        rows: KeptRows = ctx.rows
        return grads[0], rows.gather(grads[0], scaled=True).to(ctx.residual_dtype), None
