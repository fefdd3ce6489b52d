"""Softmax targets around a moving center: the cheaper alternative to Sinkhorn-Knopp.

Dimensions: M rows (tokens), H bottleneck width, K prototypes.
Source: DINO (arXiv 2104.14294), section 3.1.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.losses.across_ranks import sum_over_ranks, world_size
from trainer.losses.teacher_targets import TargetRows


class SoftmaxCentering(nn.Module):
    """softmax((logits - center) / temp), where the center follows the mean logits of earlier steps.

    A step's own mean is first staged, then kept as pending by `commit` (so a skipped step leaves no trace), and enters
    the center when the next targets are asked for. The pending mean is in the state: a resumed run is the same run.
    """

    center: Tensor
    pending: Tensor
    has_pending: Tensor

    def __init__(self, prototypes: int, momentum: float = 0.9) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("center", torch.zeros(1, prototypes))
        self.register_buffer("pending", torch.zeros(1, prototypes))
        self.register_buffer("has_pending", torch.tensor(False))
        self._staged: Tensor | None = None

    @torch.no_grad()
    def targets(self, features: Tensor, prototypes: Tensor, temp: float) -> TargetRows:
        """Targets of the rows and, staged, their mean logits over all ranks.

        Shapes: features [M, H], prototypes [K, H]; M may be 0, which leaves the mean as it was.
        """
        self._apply_pending()
        self._staged = _mean_over_ranks(features, prototypes)
        center = self.center.clone()

        def rows(start: int, stop: int) -> Tensor:
            logits = F.linear(features[start:stop], prototypes)
            logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
            return torch.softmax(logits.sub_(center).div_(temp), dim=-1)

        return rows

    @torch.no_grad()
    def commit(self) -> None:
        """Keep the staged mean: the optimiser step it belongs to was taken."""
        if self._staged is not None:
            self.pending.copy_(self._staged)
            self.has_pending.fill_(True)
            self._staged = None

    def _apply_pending(self) -> None:
        """Move the center towards the pending mean, once."""
        moved = self.center * self.momentum + self.pending * (1 - self.momentum)
        self.center.copy_(torch.where(self.has_pending, moved, self.center))
        self.has_pending.fill_(False)


def _mean_over_ranks(features: Tensor, prototypes: Tensor) -> Tensor | None:
    """Mean logits over the rows of all ranks: the logits of the mean feature.

    Differs: the official code takes the mean of the ranks' means, which weighs rows by how few a rank has.
    """
    if world_size() == 1 and not features.shape[0]:
        return None
    wide = torch.promote_types(features.dtype, torch.float32)
    rows = features.new_tensor([features.shape[0]], dtype=wide)
    total = sum_over_ranks(torch.cat([features.to(wide).sum(0), rows]))
    return F.linear(total[:-1] / total[-1].clamp_min(1.0), prototypes.to(wide))[None]
