"""Patch embedding: non-overlapping squares of an image, each projected to the model's width."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from contracts.errors import UserError


class PatchEmbed(nn.Module):
    """Project patches; parameters are those of a strided convolution (official names), applied as one matrix product.

    Errors: UserError when the image is not a whole number of patches.
    """

    def __init__(self, patch_size: int, in_channels: int, dim: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.proj = nn.Conv2d(in_channels, dim, kernel_size=patch_size, stride=patch_size)

    def grid(self, images: Tensor) -> tuple[int, int]:
        """Patches along height and width."""
        height, width, p = images.shape[-2], images.shape[-1], self.patch_size
        if height % p or width % p:
            raise UserError(
                f"Image size {height}x{width} px is not a multiple of the patch size {p} px; "
                f"use for instance {max(height // p, 1) * p}x{max(width // p, 1) * p}."
            )
        return height // p, width // p

    def forward(self, images: Tensor) -> Tensor:
        """Row-major patches. Shapes: [B, C, h * p, w * p] -> [B, h * w, D]."""
        (h, w), p = self.grid(images), self.patch_size
        B, C = images.shape[:2]
        patches = images.reshape(B, C, h, p, w, p).permute(0, 2, 4, 1, 3, 5).reshape(B, h * w, C * p * p)
        return F.linear(patches, self.proj.weight.flatten(1), self.proj.bias)
