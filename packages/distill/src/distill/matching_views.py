"""The same crop for models with different patch sizes: each gets it at the size that gives the common patch grid.

Dimensions: B crops, C channels, S side in px, N patches, D width.
"""

from __future__ import annotations

import math

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


def at_grid(patches: Tensor, grid: int) -> Tensor:
    """Patch tokens of a square crop resampled to `grid` a side (bilinear, antialiased: of a finer grid, a mean).

    Shapes: [B, N, D] -> [B, grid * grid, D].
    """
    h = math.isqrt(patches.shape[1])
    if h == grid:
        return patches
    rows = patches.transpose(1, 2).reshape(len(patches), -1, h, h)
    return F.interpolate(rows, size=(grid, grid), mode="bilinear", antialias=True).flatten(2).transpose(1, 2)
