"""Losses between a projected student feature and a teacher feature, one function and one table line each.

Dimensions: M tokens, D width of the teacher. All give a scalar from student [M, D] and teacher [M, D], in float32.
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from contracts.errors import ConfigError, nearest_name

FeatureLoss = Callable[[Tensor, Tensor], Tensor]


def cosine_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean of 1 - cosine: direction only."""
    return (1 - F.cosine_similarity(student.float(), teacher.float(), dim=-1)).mean()


def mse_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared error to the standardised teacher token (mean 0, variance 1 over its channels).

    Source: the target normalisation of data2vec (arXiv 2202.03555), section 3.3.
    """
    return F.mse_loss(student.float(), _standardised(teacher))


def smooth_l1_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """The same with errors above 1 counted linearly, so that a few large channels do not rule."""
    return F.smooth_l1_loss(student.float(), _standardised(teacher))


def _standardised(tokens: Tensor) -> Tensor:
    return F.layer_norm(tokens.float(), tokens.shape[-1:])


FEATURE_LOSSES: dict[str, FeatureLoss] = {"cosine": cosine_loss, "mse": mse_loss, "smooth_l1": smooth_l1_loss}


def feature_loss(name: str) -> FeatureLoss:
    """Look a loss up by name. Errors: ConfigError with the nearest known name."""
    if name not in FEATURE_LOSSES:
        raise ConfigError(f"unknown feature loss {name!r}; {nearest_name(name, FEATURE_LOSSES)}")
    return FEATURE_LOSSES[name]
