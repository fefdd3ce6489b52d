"""Gradient clipping per sub-module: backbone and each head have a norm of their own."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from trainer.optim.local_part import is_sharded, local_part, norm_over_parts

EPS = 1e-6


def gradient_norms(modules: nn.ModuleDict) -> dict[str, Tensor]:
    """L2 norm of the gradients of each entry; of sharded ones over all ranks."""
    return {
        name: norm_over_parts(get_total_norm(_gradients(module)), is_sharded(module.parameters()))
        for name, module in modules.items()
    }


@torch.no_grad()
def clip_gradients(modules: nn.ModuleDict, norms: Mapping[str, float], max_norm: float) -> None:
    """Scale each entry's gradients down to `max_norm` where its norm is larger, as torch.nn.utils does."""
    for name, module in modules.items():
        gradients = _gradients(module)
        factor = max_norm / (norms[name] + EPS) if gradients else 1.0
        if factor < 1.0:
            torch._foreach_mul_(gradients, factor)


def _gradients(module: nn.Module) -> list[Tensor]:
    """This rank's gradients, or parts of them."""
    return [local_part(p.grad) for p in module.parameters() if p.grad is not None]
