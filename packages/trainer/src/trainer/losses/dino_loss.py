"""The DINO loss: every student crop must agree with the teacher on every other view of its image.

Dimensions: B images, L local crops per image, H bottleneck width, K prototypes; crop-major order.
Source: DINO (arXiv 2104.14294), eq. 3; weights of the official DINOv2 code.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.losses.prototype_cross_entropy import Segment, prototype_cross_entropy
from trainer.losses.teacher_targets import TargetRows, mean_rows


@dataclass(frozen=True)
class DinoBatch:
    """What the DINO loss weighs by.

    `images` is B of this micro-batch, `step_images` that of the whole optimiser step on this rank, `local_crops` is L.
    """

    images: int
    step_images: int
    local_crops: int

    @property
    def pairs(self) -> int:
        """Student-teacher pairs of different views: 2 between global crops, 2 L with local ones."""
        return 2 + 2 * self.local_crops


def dino_local_segment(local: Tensor, targets: TargetRows, batch: DinoBatch, scale: float = 1.0) -> Segment:
    """Sum over the 2 L (local crop, teacher view) pairs of their mean cross entropy, over the number of pairs.

    Shapes: local [L * B, H], targets of 2 * B rows (view 0, then view 1).
    """
    both_views = mean_rows(targets, views=2, images=batch.images)
    weights = _even_weights(local, batch.images, 2.0 / (batch.step_images * batch.pairs))
    return Segment(local, both_views, weights, scale)


def dino_global_segment(global_: Tensor, targets: TargetRows, batch: DinoBatch, scale: float = 1.0) -> Segment:
    """Mean cross entropy of each global crop against the teacher's other view, times 2 over the number of pairs.

    Shapes: global_ [2 * B, H], targets of 2 * B rows (view 0, then view 1).
    """
    other_view = global_.roll(batch.images, dims=0)
    weights = _even_weights(global_, 2 * batch.images, 1.0 / (batch.step_images * batch.pairs))
    return Segment(other_view, targets, weights, scale)


def dino_local_loss(
    local: Tensor, prototypes: Tensor, targets: TargetRows, batch: DinoBatch, student_temp: float = 0.1
) -> Tensor:
    """The loss of dino_local_segment on its own. Shapes: local [L * B, H], prototypes [K, H] -> scalar."""
    return prototype_cross_entropy(dino_local_segment(local, targets, batch), prototypes, student_temp)


def dino_global_loss(
    global_: Tensor, prototypes: Tensor, targets: TargetRows, batch: DinoBatch, student_temp: float = 0.1
) -> Tensor:
    """The loss of dino_global_segment on its own. Shapes: global_ [2 * B, H], prototypes [K, H] -> scalar."""
    return prototype_cross_entropy(dino_global_segment(global_, targets, batch), prototypes, student_temp)


def _even_weights(features: Tensor, rows: int, weight: float) -> Tensor:
    """One weight for all rows, in the precision that the loss is computed in. Shapes: [rows]."""
    return features.new_full((rows,), weight, dtype=torch.promote_types(features.dtype, torch.float32))
