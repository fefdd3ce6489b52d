"""Gram anchoring: an earlier teacher, kept frozen, holds the student's patch similarities in place.

Dimensions: B images, N patches of a global crop, D width.
Source: DINOv3 (arXiv 2508.10104), section 4.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.losses.gram import gram_loss
from trainer.models.vision_transformer import VisionTransformer


@dataclass(frozen=True)
class GramSettings:
    """When the anchor is taken and how much it weighs.

    Units: steps are optimiser steps. The anchor is the teacher at `start_step`, taken anew every `refresh_every` steps
    (0 = never), `max_refreshes` times at most. `enlarge` is the factor by which the anchor's crops are enlarged; its
    features are then averaged down to the student's grid.
    Differs: the published recipe cuts the anchor's crops at twice the resolution; here the student's are enlarged.
    """

    weight: float = 2.0
    start_step: int = 0
    refresh_every: int = 0
    max_refreshes: int = 3
    enlarge: float = 1.0


class GramAnchor(nn.Module):
    """The frozen backbone and how often it was taken; both are in the state dict."""

    taken: Tensor

    def __init__(self, teacher: VisionTransformer, settings: GramSettings) -> None:
        super().__init__()
        self.settings = settings
        self.backbone = copy.deepcopy(teacher).requires_grad_(False).eval()
        self.register_buffer("taken", torch.tensor(0))

    def loss(self, student_patches: Tensor, global_crops: Tensor, step: int) -> Tensor:
        """Gram loss of the global crops, 0 before `start_step`. Shapes: [2 * B, N, D], [2 * B, C, G, G] -> scalar."""
        if step < self.settings.start_step:
            return student_patches.new_zeros(())
        with torch.no_grad():
            anchor = self._patches(global_crops)
        return self.settings.weight * gram_loss(student_patches, anchor)

    @torch.no_grad()
    def before_step(self, teacher: VisionTransformer, step: int) -> None:
        """Take the teacher as the anchor where this step asks for it."""
        s = self.settings
        since = step - s.start_step
        due = since == 0 or (since > 0 and s.refresh_every > 0 and since % s.refresh_every == 0)
        if due and int(self.taken) <= s.max_refreshes:
            self.backbone.load_state_dict(teacher.state_dict())
            self.taken += 1

    def _patches(self, crops: Tensor) -> Tensor:
        """The anchor's patch features on the student's grid."""
        h, w = self.backbone.patch_embed.grid(crops)
        if self.settings.enlarge == 1.0:
            patches: Tensor = self.backbone(crops).patches
            return patches
        side = round(h * self.settings.enlarge), round(w * self.settings.enlarge)
        p = self.backbone.patch_size
        large = F.interpolate(crops, size=(side[0] * p, side[1] * p), mode="bicubic", antialias=False)
        maps = self.backbone(large).patches.transpose(1, 2).reshape(len(crops), -1, *side)
        return F.interpolate(maps, size=(h, w), mode="bicubic", antialias=True).flatten(2).transpose(1, 2)
