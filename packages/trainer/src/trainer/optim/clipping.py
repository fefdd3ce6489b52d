"""Gradient clipping per sub-module: backbone and each head have a norm of their own."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm


def gradient_norms(modules: nn.ModuleDict) -> dict[str, Tensor]:
    """L2 norm of the gradients of each entry."""
    return {
        name: get_total_norm([p.grad for p in module.parameters() if p.grad is not None])
        for name, module in modules.items()
    }


def clip_gradients(modules: nn.ModuleDict, norms: dict[str, Tensor], max_norm: float) -> None:
    """Scale each entry's gradients down to `max_norm` where its norm is larger."""
    for name, module in modules.items():
        clip_grads_with_norm_(module.parameters(), max_norm, norms[name])
