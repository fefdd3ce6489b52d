"""8-bit crops to the network's float32 values: (x / 255 - mean) / std per channel, on any device."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from trainer.data.augment import compiled
from trainer.data.kept_memory import KeptMemory


def normalize(
    pixels: Tensor, mean: tuple[float, ...], std: tuple[float, ...], memory: KeptMemory | None = None
) -> Tensor:
    """One multiplication and one addition per value; the result may lie in `memory`.

    Shapes: uint8 [B, C, H, W] -> float32 [B, C, H, W].
    """
    scale, shift = _scale_and_shift(mean, std)
    library = compiled.kernels() if pixels.device.type == "cpu" else None
    if library is not None:
        result = (memory or KeptMemory()).array(tuple(pixels.shape), np.float32)
        compiled.normalize(library, pixels.contiguous().numpy(), scale.numpy(), shift.numpy(), result)
        return torch.from_numpy(result)
    shape = (1, -1, 1, 1)
    values = pixels.to(torch.float32)
    return values.mul_(scale.view(shape).to(pixels.device)).add_(shift.view(shape).to(pixels.device))


@lru_cache(maxsize=8)
def _scale_and_shift(mean: tuple[float, ...], std: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    scale = torch.tensor([1 / (255 * s) for s in std], dtype=torch.float32)
    return scale, torch.tensor([-m / s for m, s in zip(mean, std, strict=True)], dtype=torch.float32)
