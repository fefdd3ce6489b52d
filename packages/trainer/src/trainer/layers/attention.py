"""Multi-head self-attention on packed tokens.

Dimensions: T packed rows, D width, H heads, d = D / H.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from trainer.layers.attention_backends import attention_backend
from trainer.layers.packing import PackedLayout
from trainer.layers.rope import RotaryTables, rotate


@dataclass(frozen=True)
class PackedContext:
    """What attention needs to know about the rows it is given: their layout and, with RoPE, their rotations."""

    layout: PackedLayout
    rotary: RotaryTables | None = None


class Attention(nn.Module):
    """qkv projection, attention inside each sample, output projection; official parameter names."""

    def __init__(self, dim: int, num_heads: int, backend: str = "sdpa") -> None:
        super().__init__()
        assert dim % num_heads == 0, f"width {dim} is not a multiple of {num_heads} heads"
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.attend = attention_backend(backend)

    def forward(self, x: Tensor, context: PackedContext) -> Tensor:
        """Shapes: [T, D] -> [T, D]."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).unbind(1)
        if context.rotary is not None:
            q, k = rotate(q, context.rotary), rotate(k, context.rotary)
        out: Tensor = self.proj(self.attend(q, k, v, context.layout).flatten(1))
        return out
