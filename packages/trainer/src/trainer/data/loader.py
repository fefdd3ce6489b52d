"""An endless, resumable stream of crop batches, the same whatever the number of workers."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch.utils.data import DataLoader

from contracts.errors import ConfigError, UserError
from trainer.data.augment.batched import recolour_batch
from trainer.data.augment.normalize import normalize
from trainer.data.batch import CropBatch
from trainer.data.batch_maker import BatchMaker, LoaderSettings, RawBatch
from trainer.data.kept_memory import KeptMemory
from trainer.data.sources.source import ImageSource

__all__ = ["BatchLoader", "LoaderSettings", "SkippedImages", "build_loader"]
NAMED_AT_MOST = 1000


@dataclass
class SkippedImages:
    """Images that could not be read or decoded: how often one was met, and why, by key (the first 1,000)."""

    count: int = 0
    reasons: dict[str, str] = field(default_factory=dict)

    def add(self, key: str, reason: str) -> None:
        """Count one image that was left out."""
        self.count += 1
        if len(self.reasons) < NAMED_AT_MOST:
            self.reasons.setdefault(key, reason)


class BatchLoader:
    """Iterates CropBatch without end, from settings.start_position on.

    The stream is a pure function of (source, seed, batch_size * world_size): workers, restarts and the cut into ranks
    do not change it. An image that cannot be used is replaced by the next one of the stream and noted in `skipped`.
    Every iteration starts at start_position anew. Errors: UserError when nothing usable is found.
    """

    def __init__(self, source: ImageSource, settings: LoaderSettings) -> None:
        self.source = source
        self.settings = settings
        self.skipped = SkippedImages()
        self._memory = KeptMemory()

    def __iter__(self) -> Iterator[CropBatch]:
        settings = self.settings
        batches = DataLoader(
            BatchMaker(self.source, settings),
            batch_size=None,
            sampler=_Positions(settings.start_position),
            num_workers=settings.workers,
            prefetch_factor=settings.batches_ahead if settings.workers else None,
            worker_init_fn=_begin_worker,
            multiprocessing_context="spawn" if settings.workers and self.source.starts_workers_afresh() else None,
            pin_memory=torch.device(settings.device).type == "cuda",
            # What the workers draw comes from the seed and the position; this spares the caller's random state.
            generator=torch.Generator().manual_seed(settings.seed),
        )
        for raw in batches:
            if isinstance(raw, UserError):
                raise raw
            yield self._finish(raw)

    def _finish(self, raw: RawBatch) -> CropBatch:
        for key, reason in raw.skipped:
            self.skipped.add(key, reason)
        augment = self.settings.augmentation
        mean, std = per_channel(augment.mean, augment.channels), per_channel(augment.std, augment.channels)
        device = self.settings.device
        high, low = (crops.to(device, non_blocking=True) for crops in (raw.global_crops, raw.local_crops))
        if raw.recolouring is not None:
            recolour_batch(high, raw.recolouring[0], augment)
            recolour_batch(low, raw.recolouring[1], augment)
        return CropBatch(
            normalize(high, mean, std, self._memory),
            normalize(low, mean, std, self._memory),
            raw.masks.to(device, non_blocking=True),
            raw.keys,
            raw.position,
            raw.crop_numbers,
        )


def build_loader(source: ImageSource, settings: LoaderSettings) -> BatchLoader:
    """The stream of batches of one rank. Errors: ConfigError for settings that do not fit together."""
    if settings.batch_size < 1 or not 0 <= settings.rank < settings.world_size:
        raise ConfigError(
            f"batch size {settings.batch_size}, rank {settings.rank} of {settings.world_size}: wanted at least one "
            "image per batch and a rank below the number of ranks"
        )
    augment = settings.augmentation
    for kind, side in (("global", augment.global_px), ("local", augment.local_px)):
        if side % settings.patch_px and (kind == "global" or augment.local_crops):
            raise ConfigError(
                f"{kind} crops of {side} px cannot be cut into patches of {settings.patch_px} px: choose a multiple"
            )
    return BatchLoader(source, settings)


def per_channel(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    """One value for each channel; a single value stands for all."""
    return values if len(values) == channels else values * channels


class _Positions(torch.utils.data.Sampler[int]):
    """Batch positions without end."""

    def __init__(self, start: int) -> None:
        self._start = start

    def __iter__(self) -> Iterator[int]:
        position = self._start
        while True:
            yield position
            position += 1


def _begin_worker(_worker: int) -> None:
    """One thread, and signals are left to the loop, which still needs batches for the step that it is in.

    A terminal and a queue send theirs to all processes of a run. A second SIGTERM ends the worker.
    """
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.signal(signal.SIGTERM, signal.SIG_DFL))
