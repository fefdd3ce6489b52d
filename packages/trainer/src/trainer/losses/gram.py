"""Gram anchoring: keep the student's patch-to-patch similarities close to those of an earlier, cleaner teacher.

Dimensions: B images, N patches, D width (may differ between the two models).
Source: DINOv3 (arXiv 2508.10104), section 4.2.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def gram_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of the cosine matrices of each image's patches, in float32 at least.

    Shapes: student [B, N, D], teacher [B, N, D'] -> scalar.
    """
    return F.mse_loss(_cosines(student), _cosines(teacher))


def _cosines(patches: Tensor) -> Tensor:
    unit = F.normalize(patches.to(torch.promote_types(patches.dtype, torch.float32)), dim=-1)
    return unit @ unit.transpose(1, 2)
