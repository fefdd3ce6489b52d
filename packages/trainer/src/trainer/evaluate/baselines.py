"""What features have to beat: the raw pixels, and the same architecture with random weights."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.evaluate.features import Embed
from trainer.export.foreign_backbone import ForeignBackbone
from trainer.export.model_folder import Backbone
from trainer.models.vision_transformer import VisionTransformer

PIXEL_SIDE = 32


def raw_pixels(side: int = PIXEL_SIDE) -> Embed:
    """The normalised pixels, averaged down to at most `side` px a side. Shapes: [B, C, S, S] -> [B, C s s]."""

    def embed(images: Tensor) -> Tensor:
        small = images if images.shape[-1] <= side else F.interpolate(images, size=(side, side), mode="area")
        return small.flatten(1)

    return embed


def pixel_patches(patch: int) -> Embed:
    """The normalised pixels of every patch. Shapes: [B, C, S, S] -> [B, N, C * patch * patch]."""

    def embed(images: Tensor) -> Tensor:
        return F.unfold(images, kernel_size=patch, stride=patch).transpose(1, 2)

    return embed


def random_twin(backbone: Backbone, seed: int = 0) -> Backbone:
    """The same architecture, freshly initialised with a seed; no random generator of the caller is touched."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if isinstance(backbone, ForeignBackbone):
            config = backbone.model.config
            return ForeignBackbone(type(backbone.model)(config), config).eval()
        return VisionTransformer(backbone.settings).eval()
