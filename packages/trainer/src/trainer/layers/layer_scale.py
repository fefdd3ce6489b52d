"""LayerScale: a learned gain per channel at the end of each residual branch (arXiv 2103.17239)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LayerScale(nn.Module):
    """Multiply by gamma. Shapes: [..., D] -> [..., D]."""

    def __init__(self, dim: int, initial: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((dim,), initial))

    def forward(self, x: Tensor) -> Tensor:
        """Scale each channel."""
        return x * self.gamma
