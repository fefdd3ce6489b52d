"""Feature tables: a frozen model over all images of a source, batch by batch.

Dimensions: M images, D width of a feature.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from contracts.errors import MissingInput
from trainer.evaluate.eval_images import EvalTransform, ImageBatch
from trainer.export.model_folder import Backbone

Embed = Callable[[Tensor], Tensor]
"""Normalised images [B, C, S, S] -> features [B, ...]."""


@dataclass(frozen=True)
class FeatureTable:
    """Features and labels by image. Shapes: features float32 [M, ...], labels int64 [M] (-1: none)."""

    features: Tensor
    labels: Tensor
    keys: tuple[str, ...] = ()
    unreadable: int = 0

    def part(self, rows: Tensor) -> FeatureTable:
        """Some of the rows."""
        keys = tuple(self.keys[int(row)] for row in rows) if self.keys else ()
        return FeatureTable(self.features[rows], self.labels[rows], keys)


@dataclass(frozen=True)
class ImageStock:
    """Decoded images that are embedded again and again, such as those of a probe."""

    batches: tuple[ImageBatch, ...]
    transform: EvalTransform = field(repr=False)

    @classmethod
    def of(cls, batches: Iterable[ImageBatch], transform: EvalTransform) -> ImageStock:
        """Hold all batches as uint8."""
        return cls(tuple(batches), transform)


@torch.inference_mode()
def extract(
    batches: Iterable[ImageBatch],
    transform: EvalTransform,
    embed: Embed,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
) -> FeatureTable:
    """Embed every batch; `dtype` bf16 computes under autocast. Errors: MissingInput when no image is readable."""
    kind = torch.device(device).type
    features: list[Tensor] = []
    labels: list[Tensor] = []
    keys: list[str] = []
    unreadable = 0
    for batch in batches:
        unreadable += batch.unreadable
        if not len(batch.labels):
            continue
        images = transform.normalised(batch.pixels.to(device))
        with torch.autocast(kind, dtype=dtype, enabled=dtype is not None):
            features.append(embed(images).float().cpu())
        labels.append(batch.labels)
        keys.extend(batch.keys)
    if not features:
        raise MissingInput("no image of the evaluation set could be read: check it with `curate verify` or by eye")
    return FeatureTable(torch.cat(features), torch.cat(labels), tuple(keys), unreadable)


def class_token(backbone: Backbone) -> Embed:
    """The class token after the last norm. Shapes: -> [B, D]."""

    def embed(images: Tensor) -> Tensor:
        cls: Tensor = backbone(images).cls
        return cls

    return embed


def patch_tokens(backbone: Backbone) -> Embed:
    """The patch tokens after the last norm. Shapes: -> [B, N, D]."""

    def embed(images: Tensor) -> Tensor:
        patches: Tensor = backbone(images).patches
        return patches

    return embed


def last_blocks(backbone: Backbone, blocks: int) -> Embed:
    """Class tokens of the last blocks, then the mean patch of the last one. Shapes: -> [B, blocks + 1, D]."""

    def embed(images: Tensor) -> Tensor:
        outputs = backbone.intermediate(images, range(-blocks, 0))
        return torch.stack([*(out.cls for out in outputs), outputs[-1].patches.mean(1)], dim=1)

    return embed
