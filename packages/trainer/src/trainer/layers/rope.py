"""Rotary position embedding over two axes (DINOv3): patches are rotated by their place, prefix tokens are not.

Dimensions: h x w grid of N patches, P prefix tokens (CLS and registers), d head width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class RotaryTables:
    """Cosine and sine per row. Shapes: [rows, d] each; prefix tokens have cosine 1 and sine 0."""

    cos: Tensor
    sin: Tensor


@dataclass(frozen=True)
class RopeSettings:
    """Base of the periods and the training-time distortions of coordinates (None or 0 = off).

    Units: `shift` is the largest offset of coordinates in [-1, 1]; `jitter` and `rescale` are largest factors (>= 1),
    drawn log-uniformly per axis and for both axes together. Source: DINOv3 (arXiv 2508.10104), section 3.2.
    """

    base: float = 100.0
    shift: float = 0.0
    jitter: float = 1.0
    rescale: float = 1.0


class AxialRope(nn.Module):
    """Tables of rotations for any grid; the periods are a buffer, so that checkpoints carry them."""

    periods: Tensor

    def __init__(self, head_dim: int, settings: RopeSettings) -> None:
        super().__init__()
        assert head_dim % 4 == 0, f"RoPE over two axes needs a head width that is a multiple of 4, got {head_dim}"
        self.settings = settings
        quarter = head_dim // 4
        self.register_buffer("periods", settings.base ** (torch.arange(quarter, dtype=torch.float32) / quarter))

    @property
    def draws_afresh(self) -> bool:
        """Whether tables differ from call to call."""
        return self.training and self.settings != RopeSettings(base=self.settings.base)

    def tables(self, grid: tuple[int, int], prefix: int, generator: torch.Generator | None = None) -> RotaryTables:
        """Rotations of one sample's tokens; in training mode the coordinates are distorted by fresh draws."""
        coords = self._distorted(patch_coordinates(grid, self.periods), generator)
        angles = (2 * math.pi * coords[:, :, None] / self.periods).flatten(1).repeat(1, 2)
        cos = torch.cat([torch.ones_like(angles[:1]).expand(prefix, -1), angles.cos()])
        sin = torch.cat([torch.zeros_like(angles[:1]).expand(prefix, -1), angles.sin()])
        return RotaryTables(cos, sin)

    def _distorted(self, coords: Tensor, generator: torch.Generator | None) -> Tensor:
        if not self.training:
            return coords
        if self.settings.shift:
            offset = (2 * torch.rand(2, generator=generator) - 1) * self.settings.shift
            coords = coords + offset.to(coords)
        for largest, axes in ((self.settings.jitter, 2), (self.settings.rescale, 1)):
            if largest != 1.0:
                exponent = (2 * torch.rand(axes, generator=generator) - 1) * math.log(largest)
                coords = coords * exponent.exp().to(coords)
        return coords


def patch_coordinates(grid: tuple[int, int], like: Tensor) -> Tensor:
    """Centres of the patches in [-1, 1], each axis apart, in the precision of `like`, float32 at least.

    Shapes: [h * w, 2] (row, column).
    """
    wide = torch.promote_types(like.dtype, torch.float32)
    rows, columns = ((torch.arange(n, device=like.device, dtype=wide) + 0.5) / n * 2 - 1 for n in grid)
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1).flatten(0, 1)


def rotate(x: Tensor, tables: RotaryTables) -> Tensor:
    """Rotate the pairs (i, i + d/2) of every head. Shapes: [rows, H, d]."""
    first, second = x.chunk(2, dim=-1)
    turned = torch.cat([-second, first], dim=-1)
    cos, sin = tables.cos[:, None].to(x.dtype), tables.sin[:, None].to(x.dtype)
    return x * cos + turned * sin
