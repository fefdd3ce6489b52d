"""Numbers that tell whether training moves or has collapsed; cheap, and computed only when a step asks for them.

Dimensions: B images, M rows, K prototypes, H bottleneck width, D width.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.losses.teacher_targets import TargetRows
from trainer.optim.local_part import is_sharded, norm_over_parts, parts_of

MOST_ROWS = 256
"""Rows that a diagnostic looks at, at most."""


@torch.no_grad()
def target_statistics(name: str, targets: TargetRows, rows: int) -> dict[str, Tensor]:
    """Mean entropy of the targets over ln K (1 = uniform: nothing to learn; 0 = certain) and prototype usage.

    Usage is the number of different prototypes that are some row's favourite, over the most there could be.
    """
    if rows == 0:
        return {}
    t = targets(0, min(rows, MOST_ROWS))
    K = t.shape[1]
    entropy = torch.special.entr(t).sum(-1).mean() / math.log(K)
    usage = torch.bincount(t.argmax(-1), minlength=K).gt(0).sum() / min(K, len(t))
    return {f"{name}_target_entropy": entropy, f"{name}_prototype_usage": usage}


@torch.no_grad()
def agreement(features: Tensor, prototypes: Tensor, targets: TargetRows) -> Tensor:
    """Share of rows whose favourite prototype is the teacher's. Shapes: [M, H], [K, H] -> scalar."""
    rows = min(len(features), MOST_ROWS)
    favourites = F.linear(features[:rows], prototypes).argmax(-1)
    return (favourites == targets(0, rows).argmax(-1)).float().mean()


@torch.no_grad()
def feature_cosine(features: Tensor) -> Tensor:
    """Mean cosine between different rows: 1 when all images have the same feature. Shapes: [M, D] -> scalar."""
    rows = F.normalize(_wide(features[:MOST_ROWS]), dim=-1)
    M = len(rows)
    return (rows.sum(0).square().sum() - M) / max(M * M - M, 1)


@torch.no_grad()
def lead_over_average(model: nn.Module, average: nn.Module) -> Tensor:
    """Distance of weights to their moving average over their length: 0 when nothing has moved for a while."""
    own, sharded = parts_of(model.parameters()), is_sharded(model.parameters())
    apart = torch._foreach_norm(torch._foreach_sub(own, parts_of(average.parameters())))
    distance, length = (torch.stack(list(norms)).norm() for norms in (apart, torch._foreach_norm(own)))
    return norm_over_parts(distance, sharded) / norm_over_parts(length, sharded)


@torch.no_grad()
def rank_me(features: Tensor) -> Tensor:
    """Effective rank of the features: exp of the entropy of their singular values over the sum of these.

    1 when all images have the same feature. Differs: of one batch, where the paper takes 25,600 images.
    Source: RankMe (arXiv 2210.02885), eq. 1 and 2. Shapes: [M, D] -> scalar between 1 and min(M, D).
    """
    rows = _wide(features[:MOST_ROWS])
    if not rows.isfinite().all():
        return rows.new_full((), math.nan)
    values = torch.linalg.svdvals(rows)
    shares = values / values.sum().clamp_min(1e-12) + 1e-7
    return torch.exp(-(shares * shares.log()).sum())


def _wide(features: Tensor) -> Tensor:
    """At least float32."""
    return features.to(torch.promote_types(features.dtype, torch.float32))
