"""DINO and iBOT losses of one micro-batch of a student, with each head's prototypes passed over once.

Dimensions: B images, L local crops, M chosen patches, H bottleneck width, D width, K prototypes; crop-major order.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.losses.dino_loss import DinoBatch, dino_global_segment, dino_local_segment
from trainer.losses.ibot_loss import ibot_segment
from trainer.losses.prototype_cross_entropy import prototype_cross_entropies
from trainer.losses.teacher_targets import TargetRows


@dataclass(frozen=True)
class StudentView:
    """What the student makes of one micro-batch.

    Shapes: cls_tokens [2 * B, D] of the global crops, from the backbone; global_cls [2 * B, H], local_cls [L * B, H]
    and patches [M, H] from the heads; dino_prototypes and ibot_prototypes [K, H], one tensor where the head is shared.
    """

    cls_tokens: Tensor
    global_cls: Tensor
    local_cls: Tensor
    patches: Tensor
    dino_prototypes: Tensor
    ibot_prototypes: Tensor


@dataclass(frozen=True)
class StepTargets:
    """The teacher's targets of one micro-batch, the weights of its chosen patches, and the sizes losses weigh by.

    Shapes: dino of 2 * B rows, ibot of M rows, patch_weights [M].
    """

    dino: TargetRows
    ibot: TargetRows
    patch_weights: Tensor
    sizes: DinoBatch


@dataclass(frozen=True)
class PrototypeWeights:
    """Weights of the two losses, and the temperature of the student's softmax."""

    dino: float = 1.0
    ibot: float = 1.0
    student_temp: float = 0.1


def prototype_losses(
    student: StudentView, targets: StepTargets, weights: PrototypeWeights
) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted sum, and dino_local, dino_global and ibot each unweighted and without gradient."""
    sizes = targets.sizes
    dino = {
        "dino_local": dino_local_segment(student.local_cls, targets.dino, sizes, weights.dino),
        "dino_global": dino_global_segment(student.global_cls, targets.dino, sizes, weights.dino),
    }
    crops = 2 * sizes.step_images
    ibot = {"ibot": ibot_segment(student.patches, targets.ibot, targets.patch_weights, crops, weights.ibot)}
    passes = [(dino, student.dino_prototypes), (ibot, student.ibot_prototypes)]
    if student.ibot_prototypes is student.dino_prototypes:
        passes = [(dino | ibot, student.dino_prototypes)]
    totals: list[Tensor] = []
    losses: dict[str, Tensor] = {}
    for segments, prototypes in passes:
        total, parts = prototype_cross_entropies(list(segments.values()), prototypes, weights.student_temp)
        totals.append(total)
        losses.update(zip(segments, parts, strict=True))
    return torch.stack(totals).sum(), losses
