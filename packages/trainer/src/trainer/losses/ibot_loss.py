"""The iBOT loss: masked patches of the student must match the teacher's unmasked ones.

Dimensions: B images, N patches of a global crop, M chosen patches of all crops, H bottleneck width, K prototypes.
Source: iBOT (arXiv 2111.07832), eq. 2; weights of the official DINOv2 code.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.losses.prototype_cross_entropy import Segment, prototype_cross_entropy
from trainer.losses.teacher_targets import TargetRows


@dataclass(frozen=True)
class PatchChoice:
    """The patches that the loss looks at: indices into the flattened [2 * B * N] patches, and their weights.

    A patch weighs 1 / (number of chosen patches of its crop), so a crop's patches weigh 1 together.
    """

    indices: Tensor
    weights: Tensor

    def of(self, patches: Tensor) -> Tensor:
        """The chosen patches. Shapes: [2 * B, N, D] -> [M, D]."""
        return patches.flatten(0, 1).index_select(0, self.indices)


def masked_patches(masks: Tensor, dtype: torch.dtype = torch.float32) -> PatchChoice:
    """The masked patches of every crop, their weights in `dtype`. Shapes: masks bool [2 * B, N]."""
    indices = masks.flatten().nonzero().squeeze(1)
    weights = masks.sum(-1).clamp_min(1).to(dtype).reciprocal().unsqueeze(-1).expand_as(masks)
    return PatchChoice(indices, weights.flatten().index_select(0, indices))


def all_patches(crops: int, patches: int, device: torch.device) -> PatchChoice:
    """Every patch of every crop, as distillation uses them."""
    count = crops * patches
    return PatchChoice(torch.arange(count, device=device), torch.full((count,), 1.0 / patches, device=device))


def ibot_segment(chosen: Tensor, targets: TargetRows, weights: Tensor, step_crops: int, scale: float = 1.0) -> Segment:
    """Weighted sum of cross entropies over the number of crops of the optimiser step, unmasked crops included.

    Shapes: chosen [M, H], targets of M rows, weights [M]; M may be 0.
    """
    return Segment(chosen, targets, weights / step_crops, scale)


def ibot_loss(
    chosen: Tensor,
    prototypes: Tensor,
    targets: TargetRows,
    weights: Tensor,
    step_crops: int,
    student_temp: float = 0.1,
) -> Tensor:
    """The loss of ibot_segment on its own. Shapes: chosen [M, H], prototypes [K, H] -> scalar (0 when M = 0)."""
    return prototype_cross_entropy(ibot_segment(chosen, targets, weights, step_crops), prototypes, student_temp)
