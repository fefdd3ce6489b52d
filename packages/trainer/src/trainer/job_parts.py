"""Parts of a training job that every method shares: probe, rhythm of the loop, stream of batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import torch

from trainer.config.pictures import PicturesSection
from trainer.config.run import ProbeSection, RunSection
from trainer.data.augment.settings import AugmentationSettings
from trainer.data.loader import BatchLoader, LoaderSettings, build_loader, per_channel
from trainer.data.open_source import open_source
from trainer.data.sources.source import ImageSource
from trainer.engine.device import autocast_dtype
from trainer.engine.loop import LoopSettings, Pictures, Probe
from trainer.evaluate.eval_images import EvalTransform
from trainer.evaluate.labelled_images import open_labelled
from trainer.evaluate.probe import ProbeSettings, labelled_probe
from trainer.pictures.folder import PictureFolder
from trainer.pictures.painter import Painter, PainterSettings

MOST_PICTURE_PX = 448


class Sections(Protocol):
    """The sections that every configuration of a run has."""

    @property
    def run(self) -> RunSection:
        """Length, batch and rhythm."""

    @property
    def crops(self) -> AugmentationSettings:
        """Sizes of crops, channels, normalisation."""

    @property
    def probe(self) -> ProbeSection:
        """Labelled images that are looked at now and then."""

    @property
    def pictures(self) -> PicturesSection:
        """Images that are painted now and then."""


def check_probe(asked: ProbeSection) -> None:
    """See before a run is begun that its probe can be. Errors: MissingInput, ConfigError (no classes)."""
    if asked.data is not None:
        open_labelled(asked.data, asked.test, asked.max_images)


def build_probe(asked: ProbeSection, crops: AugmentationSettings, device: torch.device, precision: str) -> Probe | None:
    """k-NN, and a linear probe where asked for, on the labelled images of the probe section, or None.

    Errors: MissingInput, ConfigError (no classes).
    """
    if asked.data is None:
        return None
    train_images, test_images = open_labelled(asked.data, asked.test, asked.max_images)
    mean, std = per_channel(crops.mean, crops.channels), per_channel(crops.std, crops.channels)
    transform = EvalTransform(asked.image_px or crops.global_px, mean, std)
    settings = ProbeSettings(asked.k, asked.batch_size, device, autocast_dtype(precision), asked.linear_steps)
    return labelled_probe(train_images, test_images, transform, settings)


def build_pictures(
    sections: Sections, source: ImageSource, folder: Path, patch_px: int, device: torch.device, precision: str
) -> Pictures | None:
    """Paints some images of the pictures section, or of `source`, into a folder; None where none is asked for.

    Errors: MissingInput, BrokenArtifact (images).
    """
    asked, crops = sections.pictures, sections.crops
    if not asked.every_steps:
        return None
    images = source if asked.data is None else open_source(asked.data)
    mean, std = per_channel(crops.mean, crops.channels), per_channel(crops.std, crops.channels)
    most = max(MOST_PICTURE_PX // patch_px * patch_px, crops.global_px)
    large, small = (
        EvalTransform(side, mean, std) for side in (asked.image_px or min(2 * crops.global_px, most), crops.global_px)
    )
    batch, dtype = sections.probe.batch_size, autocast_dtype(precision)
    settings = PainterSettings(asked.images, asked.gallery, batch, device, dtype)
    return Painter(images, large, small, PictureFolder(folder), settings)


def loop_settings(
    sections: Sections, *, micro_batches: int, clip_norm: float, precision: str, freeze_backbone_steps: int = 0
) -> LoopSettings:
    """Length and rhythm of the loop, from what was asked and what the plan worked out."""
    run = sections.run
    return LoopSettings(
        total_steps=run.steps,
        accumulate=micro_batches,
        clip_norm=clip_norm,
        freeze_backbone_steps=freeze_backbone_steps,
        precision=precision,
        log_every=run.log_every_steps,
        checkpoint_every=run.checkpoint_every_steps,
        keep_checkpoints=run.keep_checkpoints,
        probe_every=sections.probe.every_steps,
        pictures_every=sections.pictures.every_steps,
        background_checkpoints=run.background_checkpoints,
        export_every=run.export_every_steps,
        max_skipped=run.max_skipped_steps,
    )


def stream_from(source: ImageSource, settings: LoaderSettings) -> Callable[[int], BatchLoader]:
    """Opens the stream of batches from any position on."""
    return lambda position: build_loader(source, replace(settings, start_position=position))
