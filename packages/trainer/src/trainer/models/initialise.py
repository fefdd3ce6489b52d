"""Initial values shared by backbones and heads."""

from __future__ import annotations

from torch import nn


def truncated_normal_linears(module: nn.Module) -> None:
    """Linear weights: normal of std 0.02 cut at two; biases 0. Source: official DINOv2 code."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.trunc_normal_(part.weight, std=0.02)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
