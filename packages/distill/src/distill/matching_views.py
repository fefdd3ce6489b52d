"""The same crop for models with different patch sizes: each gets it at the size that gives the common patch grid.

Dimensions: B crops, C channels, S side in px.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def at_side(crops: Tensor, side: int) -> Tensor:
    """Crops resized to `side` px (bicubic, antialiased); unchanged when they have it already.

    Shapes: [B, C, S, S] -> [B, C, side, side].
    """
    if crops.shape[-1] == side or not len(crops):
        return crops
    return F.interpolate(crops, size=(side, side), mode="bicubic", antialias=True)


def side_for(crop_px: int, reference_patch: int, patch: int) -> int:
    """Side at which a model of patch size `patch` sees as many patches as one of `reference_patch` sees in the crop."""
    return crop_px // reference_patch * patch
