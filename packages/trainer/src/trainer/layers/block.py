"""A pre-norm transformer block on packed tokens, with optional stochastic depth.

Dimensions: T packed rows, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainer.layers.attention import Attention, PackedContext
from trainer.layers.feed_forward import build_feed_forward
from trainer.layers.layer_scale import LayerScale
from trainer.layers.packing import PackedLayout
from trainer.layers.rope import RotaryTables
from trainer.layers.stochastic_depth import AddKept, BlockDraw, GatherKept, KeptRows, residual_scales


@dataclass(frozen=True)
class BlockSettings:
    """Shape of a block; `layer_scale` None leaves LayerScale out."""

    dim: int
    num_heads: int
    mlp_ratio: float = 4.0
    ffn: str = "mlp"
    layer_scale: float | None = 1e-5
    attention: str = "sdpa"


class Block(nn.Module):
    """x + ls1(attention(norm1(x))), then x + ls2(ffn(norm2(x))); official parameter names."""

    def __init__(self, settings: BlockSettings) -> None:
        super().__init__()
        s = settings
        self.norm1 = nn.LayerNorm(s.dim, eps=1e-6)
        self.attn = Attention(s.dim, s.num_heads, s.attention)
        self.ls1 = nn.Identity() if s.layer_scale is None else LayerScale(s.dim, s.layer_scale)
        self.norm2 = nn.LayerNorm(s.dim, eps=1e-6)
        self.mlp = build_feed_forward(s.ffn, s.dim, s.mlp_ratio)
        self.ls2 = nn.Identity() if s.layer_scale is None else LayerScale(s.dim, s.layer_scale)

    def forward(
        self,
        x: Tensor,
        layout: PackedLayout,
        rotary: Sequence[RotaryTables] | None = None,
        draw: BlockDraw | None = None,
        rows: Tensor | None = None,
    ) -> Tensor:
        """Shapes: [T, D] -> [T, D], or [W, D] for `rows` [W] alone.

        `rotary` has one table per group; `draw` None computes every sample.
        """
        x = self.attend(x, layout, rotary, draw)
        if rows is not None:
            return self.feed_rows(x, rows, layout, draw)
        return _residual(x, layout, lambda rows, _: self._feed_forward(rows), None if draw is None else draw.ffn)

    def attend(
        self,
        x: Tensor,
        layout: PackedLayout,
        rotary: Sequence[RotaryTables] | None = None,
        draw: BlockDraw | None = None,
    ) -> Tensor:
        """The first half, x + ls1(attention(norm1(x))). Shapes: [T, D] -> [T, D]."""

        def attention(rows: Tensor, kept: PackedLayout) -> Tensor:
            out: Tensor = self.ls1(self.attn(self.norm1(rows), PackedContext(kept, _expand(rotary, kept))))
            return out

        return _residual(x, layout, attention, None if draw is None else draw.attention)

    def feed_rows(self, x: Tensor, rows: Tensor, layout: PackedLayout, draw: BlockDraw | None = None) -> Tensor:
        """The second half for the given rows alone, x + ls2(ffn(norm2(x))). Shapes: x [T, D], rows [W] -> [W, D]."""
        chosen = x.index_select(0, rows)
        residual = self._feed_forward(chosen)
        if draw is not None:
            precision = torch.promote_types(residual.dtype, torch.float32)
            residual = residual * residual_scales(draw.ffn, layout, x.device, precision)[rows, None]
        return chosen + residual

    def _feed_forward(self, rows: Tensor) -> Tensor:
        out: Tensor = self.ls2(self.mlp(self.norm2(rows)))
        return out


def _residual(
    x: Tensor,
    layout: PackedLayout,
    branch: Callable[[Tensor, PackedLayout], Tensor],
    kept_samples: Sequence[Tensor] | None,
) -> Tensor:
    """x + branch(x), the branch on the kept samples only."""
    if kept_samples is None:
        return x + branch(x, layout)
    rows = KeptRows.of(kept_samples, layout, x.device)
    kept: Tensor = GatherKept.apply(x, rows)  # type: ignore[no-untyped-call]
    out: Tensor = AddKept.apply(x, branch(kept, rows.kept), rows)  # type: ignore[no-untyped-call]
    return out


def _expand(rotary: Sequence[RotaryTables] | None, layout: PackedLayout) -> RotaryTables | None:
    """Rotations of every packed row from one table per group."""
    if rotary is None:
        return None
    return RotaryTables(
        cos=layout.expand_rows([table.cos for table in rotary]),
        sin=layout.expand_rows([table.sin for table in rotary]),
    )
