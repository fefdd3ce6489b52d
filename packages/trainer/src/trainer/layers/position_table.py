"""Learned position tables, resampled to other grids in the ways that published checkpoints expect.

Dimensions: table [1, 1 + M * M, D] (class token first), wanted grid h x w.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from contracts.errors import ConfigError, nearest_name


@dataclass(frozen=True)
class Resampling:
    """A bicubic convention; `offset` > 0 passes scale factors (h + offset) / M, which shifts the sampling grid."""

    offset: float
    antialias: bool


RESAMPLINGS: dict[str, Resampling] = {
    "official": Resampling(offset=0.1, antialias=False),
    "official_registers": Resampling(offset=0.0, antialias=True),
    "huggingface": Resampling(offset=0.0, antialias=False),
    "timm": Resampling(offset=0.0, antialias=True),
}


def resampling_named(name: str) -> Resampling:
    """Look a convention up by name.

    Errors: ConfigError with the nearest known name.
    """
    if name not in RESAMPLINGS:
        raise ConfigError(f"Unknown position resampling {name!r}; {nearest_name(name, RESAMPLINGS)}")
    return RESAMPLINGS[name]


def resample_position_table(table: Tensor, grid: tuple[int, int], convention: Resampling) -> Tensor:
    """The table for another grid, in float32 at least; unchanged when a square grid has as many patches already.

    Shapes: [1, 1 + M * M, D] -> [1, 1 + h * w, D].
    """
    side = math.isqrt(table.shape[1] - 1)
    assert side * side == table.shape[1] - 1, f"position table of {table.shape[1] - 1} patches is not square"
    if grid == (side, side):
        return table
    h, w = grid
    wide = torch.promote_types(table.dtype, torch.float32)
    patches = table[:, 1:].to(wide).reshape(1, side, side, -1).permute(0, 3, 1, 2)
    if convention.offset:
        factors = ((h + convention.offset) / side, (w + convention.offset) / side)
        patches = F.interpolate(patches, scale_factor=factors, mode="bicubic", antialias=convention.antialias)
        assert patches.shape[-2:] == (h, w), f"resampled to {tuple(patches.shape[-2:])}, wanted {(h, w)}"
    else:
        patches = F.interpolate(patches, size=(h, w), mode="bicubic", antialias=convention.antialias)
    patches = patches.permute(0, 2, 3, 1).flatten(1, 2)
    return torch.cat([table[:, :1], patches.to(table.dtype)], dim=1)
