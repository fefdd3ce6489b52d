"""Feed-forward layers: GELU MLP and fused SwiGLU, with official parameter names."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from contracts.errors import ConfigError, nearest_name


class Mlp(nn.Module):
    """Linear, exact GELU, Linear."""

    def __init__(self, dim: int, mlp_ratio: float) -> None:
        super().__init__()
        hidden = int(dim * mlp_ratio)
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Shapes: [..., D] -> [..., D]."""
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class SwiGlu(nn.Module):
    """silu(x1) * x2 from one fused projection w12, then w3.

    The hidden width is two thirds of the MLP's, rounded up to a multiple of 8. Source: arXiv 2002.05202.
    """

    def __init__(self, dim: int, mlp_ratio: float) -> None:
        super().__init__()
        hidden = swiglu_hidden_dim(dim, mlp_ratio)
        self.w12 = nn.Linear(dim, 2 * hidden)
        self.w3 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Shapes: [..., D] -> [..., D]."""
        gate, value = self.w12(x).chunk(2, dim=-1)
        out: Tensor = self.w3(F.silu(gate) * value)
        return out


def swiglu_hidden_dim(dim: int, mlp_ratio: float) -> int:
    """Hidden width of SwiGlu: 1024 for D = 384 at ratio 4, 4096 for D = 1536."""
    return (int(int(dim * mlp_ratio) * 2 / 3) + 7) // 8 * 8


FEED_FORWARDS: dict[str, Callable[[int, float], nn.Module]] = {"mlp": Mlp, "swiglu": SwiGlu}


def build_feed_forward(kind: str, dim: int, mlp_ratio: float) -> nn.Module:
    """Look a feed-forward layer up by name and build it.

    Errors: ConfigError with the nearest known name.
    """
    if kind not in FEED_FORWARDS:
        raise ConfigError(f"Unknown feed-forward kind {kind!r}; {nearest_name(kind, FEED_FORWARDS)}")
    return FEED_FORWARDS[kind](dim, mlp_ratio)
