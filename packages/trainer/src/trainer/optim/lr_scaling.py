"""Rules that scale a learning rate to the number of images per optimiser step."""

from __future__ import annotations

import math
from collections.abc import Callable

from contracts.errors import ConfigError, nearest_name

LR_SCALING_RULES: dict[str, Callable[[float, int], float]] = {
    "none": lambda lr, _: lr,
    "sqrt_wrt_1024": lambda lr, images: lr * math.sqrt(images / 1024),
    "linear_wrt_256": lambda lr, images: lr * images / 256,
}


def scaled_lr(base_lr: float, images_per_step: int, rule: str) -> float:
    """The learning rate for a batch size.

    Errors: ConfigError with the nearest known rule.
    """
    if rule not in LR_SCALING_RULES:
        raise ConfigError(f"Unknown learning-rate scaling {rule!r}; {nearest_name(rule, LR_SCALING_RULES)}")
    return LR_SCALING_RULES[rule](base_lr, images_per_step)
