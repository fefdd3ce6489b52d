"""The exponential moving average that makes the teacher."""

from __future__ import annotations

import torch
from torch import nn

from trainer.optim.local_part import parts_of


@torch.no_grad()
def update_ema(average: nn.Module, model: nn.Module, momentum: float) -> None:
    """average = momentum * average + (1 - momentum) * model, over parameters that the two share by name.

    Buffers (centers, RoPE periods) are left alone. Lengths and directions of weight-normed prototypes average apart.
    Sharded ones are averaged part by part: both must be sharded in the same way.
    """
    current = dict(model.named_parameters())
    pairs = [(target, current[name]) for name, target in average.named_parameters()]
    targets = parts_of(target for target, _ in pairs)
    sources = parts_of(source for _, source in pairs)
    torch._foreach_mul_(targets, momentum)
    torch._foreach_add_(targets, sources, alpha=1 - momentum)
