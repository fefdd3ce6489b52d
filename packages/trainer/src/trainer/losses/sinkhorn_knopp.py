"""Sinkhorn-Knopp: teacher targets in which every prototype gets an equal share of the batch.

Dimensions: M rows (tokens of this rank), H bottleneck width, K prototypes.
Source: SwAV (arXiv 2006.09882), section 3; DINOv2 (arXiv 2304.07193), section 4.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.losses.across_ranks import max_over_ranks, sum_over_ranks
from trainer.losses.teacher_targets import TargetRows, dense_rows


@torch.no_grad()
def sinkhorn_knopp(logits: Tensor, temp: float, iterations: int = 3) -> Tensor:
    """Balanced targets of all rows of all ranks; the same whatever the number of ranks or micro-batches.

    With E = exp(logits / temp), an iteration is u = 1 / (E' v), v = 1 / (E u), and the targets are E u v: the constants
    of the usual formulation (total mass, K, number of rows) cancel, so no count is needed.
    Differs: each prototype's largest logit is subtracted first. u absorbs it, so the result is the same, but
    exp can no longer overflow (the released code does for logits above 3.5 at temp 0.04) and no prototype vanishes.
    Shapes: [M, K] -> [M, K], float32; M may be 0 on some ranks.
    """
    E = logits.to(torch.promote_types(logits.dtype, torch.float32)) / temp
    E.sub_(largest_logits(E)).exp_()
    v = E.new_ones(E.shape[0])
    u = E.new_ones(E.shape[1])
    for _ in range(iterations):
        u = sum_over_ranks(v @ E).clamp_min(_TINY).reciprocal()
        v = (E @ u).clamp_min(_TINY).reciprocal()
    return E.mul_(u).mul_(v[:, None])


def largest_logits(scaled_logits: Tensor) -> Tensor:
    """Each prototype's largest value over the rows of all ranks. Shapes: [M, K] -> [K]."""
    if scaled_logits.shape[0] == 0:
        return max_over_ranks(scaled_logits.new_full(scaled_logits.shape[1:], -torch.inf))
    return max_over_ranks(scaled_logits.amax(0))


def sinkhorn_targets(features: Tensor, prototypes: Tensor, temp: float, iterations: int = 3) -> TargetRows:
    """Targets from bottleneck features. Shapes: features [M, H], prototypes [K, H]."""
    return dense_rows(sinkhorn_knopp(F.linear(features, prototypes), temp, iterations))


_TINY = 1e-30
"""Below this a sum of exponentials is taken for lost, so that its reciprocal stays finite."""
