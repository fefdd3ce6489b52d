"""The exponential moving average that makes the teacher."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn


@torch.no_grad()
def update_ema(average: nn.Module, model: nn.Module, momentum: float) -> None:
    """average = momentum * average + (1 - momentum) * model, over parameters that the two share by name.

    Buffers (centers, RoPE periods) are left alone. Lengths and directions of weight-normed prototypes average apart.
    """
    current = dict(model.named_parameters())
    pairs = [(target, current[name]) for name, target in average.named_parameters()]
    targets = [cast(Tensor, target) for target, _ in pairs]
    sources = [source.detach() for _, source in pairs]
    torch._foreach_mul_(targets, momentum)
    torch._foreach_add_(targets, sources, alpha=1 - momentum)
