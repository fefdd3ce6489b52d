"""8-bit crops to the network's float32 values: (x / 255 - mean) / std per channel, on any device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def normalize(pixels: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """One multiplication and one addition per value. Shapes: uint8 [B, C, H, W] -> float32 [B, C, H, W]."""
    shift = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)], dtype=torch.float32)
    scale = torch.tensor([1 / (255 * s) for s in std], dtype=torch.float32)
    shape = (1, -1, 1, 1)
    shift, scale = shift.view(shape).to(pixels.device), scale.view(shape).to(pixels.device)
    return torch.addcmul(shift, pixels.to(torch.float32), scale)
