"""What the data path hands to the training step.

B images, C channels, N patches of a global crop, G and l pixels of a global and a local crop, L local crops per image.
Order is crop-major everywhere: crop 0 of every image, then crop 1 of every image, and so on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class CropBatch:
    """One batch of crops with its masks.

    Shapes: global_crops float32 [2*B, C, G, G]; local_crops float32 [L*B, C, l, l], L may be 0; masks bool [2*B, N],
    True where a patch is replaced by the mask token (may be all False); keys names B images. `position` counts the
    batches delivered before this one since step 0. `crop_numbers` name the draws that cut each image's crops: the same
    key and number (and seed) are the same crops.
    """

    global_crops: Tensor
    local_crops: Tensor
    masks: Tensor
    keys: tuple[str, ...]
    position: int
    crop_numbers: tuple[int, ...] = ()

    def to(self, device: torch.device | str) -> CropBatch:
        """The same batch on another device; copies from pinned memory overlap with computation."""
        return replace(
            self,
            global_crops=self.global_crops.to(device, non_blocking=True),
            local_crops=self.local_crops.to(device, non_blocking=True),
            masks=self.masks.to(device, non_blocking=True),
        )
