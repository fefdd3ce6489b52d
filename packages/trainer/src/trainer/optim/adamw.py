"""AdamW over parameter groups whose learning rate and weight decay are rewritten at every step."""

from __future__ import annotations

from typing import Any

import torch

from trainer.optim.knobs import StepKnobs


def build_adamw(
    groups: list[dict[str, Any]], betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8
) -> torch.optim.AdamW:
    """AdamW whose rates come from `apply_knobs`; the fused kernels exist on CPU and CUDA."""
    return torch.optim.AdamW(groups, lr=0.0, betas=betas, eps=eps, weight_decay=0.0, fused=True)


def apply_knobs(optimizer: torch.optim.Optimizer, knobs: StepKnobs) -> None:
    """Write the step's learning rates and weight decays into the groups."""
    for group in optimizer.param_groups:
        lr = knobs.last_layer_lr if group["is_last_layer"] else knobs.lr
        group["lr"] = lr * group["lr_multiplier"]
        group["weight_decay"] = knobs.weight_decay * group["wd_multiplier"]
