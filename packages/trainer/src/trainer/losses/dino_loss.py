"""The DINO loss: every student crop must agree with the teacher on every other view of its image.

Dimensions: B images, L local crops per image, H bottleneck width, K prototypes; crop-major order.
Source: DINO (arXiv 2104.14294), eq. 3; weights of the official DINOv2 code.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from trainer.losses.prototype_cross_entropy import prototype_cross_entropy
from trainer.losses.teacher_targets import TargetRows, summed_rows


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


def dino_local_loss(
    local: Tensor, prototypes: Tensor, targets: TargetRows, batch: DinoBatch, student_temp: float = 0.1
) -> Tensor:
    """Sum over the 2 L (local crop, teacher view) pairs of their mean cross entropy, over the number of pairs.

    Shapes: local [L * B, H], prototypes [K, H], targets of 2 * B rows (view 0, then view 1) -> scalar.
    """
    both_views = summed_rows(targets, views=2, images=batch.images)
    weights = local.new_full((batch.images,), 1.0 / (batch.step_images * batch.pairs))
    return prototype_cross_entropy(local, prototypes, both_views, weights, student_temp)


def dino_global_loss(
    global_: Tensor, prototypes: Tensor, targets: TargetRows, batch: DinoBatch, student_temp: float = 0.1
) -> Tensor:
    """Mean cross entropy of each global crop against the teacher's other view, times 2 over the number of pairs.

    Shapes: global_ [2 * B, H], prototypes [K, H], targets of 2 * B rows (view 0, then view 1) -> scalar.
    """
    B = batch.images
    other_view = global_.roll(B, dims=0)
    weights = global_.new_full((2 * B,), 1.0 / (batch.step_images * batch.pairs))
    return prototype_cross_entropy(other_view, prototypes, targets, weights, student_temp)
