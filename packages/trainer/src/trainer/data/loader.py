"""An endless, resumable stream of crop batches, the same whatever the number of workers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from trainer.data.augment.settings import AugmentationSettings
from trainer.data.batch import CropBatch
from trainer.data.masking.settings import MaskingSettings
from trainer.data.sources.source import ImageSource


@dataclass(frozen=True)
class LoaderSettings:
    """What the stream depends on.

    batch_size: images per batch and rank. patch_px: side of a patch, sets the mask grid. start_position: batches
    delivered before, from where the stream goes on. workers: processes, 0 loads in this one.
    """

    batch_size: int
    patch_px: int
    augmentation: AugmentationSettings = AugmentationSettings()
    masking: MaskingSettings = MaskingSettings()
    seed: int = 0
    workers: int = 0
    start_position: int = 0
    rank: int = 0
    world_size: int = 1


@dataclass
class SkippedImages:
    """Images that could not be read or decoded: how often one was met, and why, by key."""

    count: int = 0
    reasons: dict[str, str] = field(default_factory=dict)


class BatchLoader:
    """Iterates CropBatch without end; `skipped` tells what could not be decoded so far."""

    def __init__(self, source: ImageSource, settings: LoaderSettings) -> None:
        self.source = source
        self.settings = settings
        self.skipped = SkippedImages()

    def __iter__(self) -> Iterator[CropBatch]:
        return iter(())


def build_loader(source: ImageSource, settings: LoaderSettings) -> BatchLoader:
    """The stream of batches of one rank, from settings.start_position on."""
    return BatchLoader(source, settings)
