"""Make any batch of the stream from its position alone: choose images, decode, cut crops, draw masks.

Runs in the worker processes. Pixels stay 8-bit here: a quarter of the bytes to hand over, normalised at the end.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contracts.errors import MissingInput, UserError
from trainer.data.augment.batched import Recolouring, pack_recolouring, without_recolouring
from trainer.data.augment.crops import enough_pixels, make_crops
from trainer.data.augment.parameters import CropDraws, CropParameters
from trainer.data.augment.settings import AugmentationSettings
from trainer.data.decode.image import BadImage, Canvas, decode_image
from trainer.data.kept_memory import KeptMemory
from trainer.data.masking.batch_masks import batch_masks
from trainer.data.masking.settings import MaskingSettings
from trainer.data.order import EpochOrder
from trainer.data.sources.source import ImageSource

MOST_REPLACEMENTS = 1000
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class LoaderSettings:
    """What the stream of batches depends on, and how it is made.

    batch_size: images per batch and rank. patch_px: side of a patch, sets the mask grid. start_position: batches that
    were delivered before; the stream goes on from there. workers: processes that make batches, 0 for none but this.
    batches_per_step: batches that make one optimiser step; masks are dealt out over all of them.
    recolour_on_device: workers cut, flip and resize; colours, blur and solarisation follow on the device, equally.
    batches_ahead: batches that each worker keeps ready. crop_sets: 0 cuts new crops in every epoch; else each image has
    so many sets of crops, which take turns. device: where batches are delivered, normalised there.
    """

    batch_size: int
    patch_px: int
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)
    masking: MaskingSettings = field(default_factory=MaskingSettings)
    seed: int = 0
    workers: int = 0
    start_position: int = 0
    rank: int = 0
    world_size: int = 1
    batches_per_step: int = 1
    batches_ahead: int = 2
    crop_sets: int = 0
    recolour_on_device: bool = False
    device: str = "cpu"


@dataclass(frozen=True)
class RawBatch:
    """A batch before normalisation, and the images that were left out of it: (key, reason).

    `recolouring`: what is left to be done to the global and to the local crops, if that is done on the device.
    """

    global_crops: Tensor
    local_crops: Tensor
    masks: Tensor
    keys: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]
    position: int
    crop_numbers: tuple[int, ...]
    recolouring: tuple[Recolouring, Recolouring] | None = None

    def pin_memory(self) -> RawBatch:
        """The same batch in memory that a GPU copies from while it computes; called by torch's DataLoader."""
        return replace(
            self,
            global_crops=self.global_crops.pin_memory(),
            local_crops=self.local_crops.pin_memory(),
            masks=self.masks.pin_memory(),
        )


class BatchMaker(torch.utils.data.Dataset[RawBatch | UserError]):
    """Batch number p of one rank: `maker[p]`, the same whoever asks and whenever.

    Sample b of rank r in batch p has number (p * world_size + r) * batch_size + b in the stream; its image and all its
    random draws depend on the seed and that number alone. So ranks and workers can be added without changing a batch
    of the whole run.
    """

    def __init__(self, source: ImageSource, settings: LoaderSettings) -> None:
        self._source = source
        self._settings = settings
        self._order = EpochOrder(source.blocks(), source.blocks_at_once(), settings.seed)
        self._draws = CropDraws(settings.augmentation, settings.seed)
        self._canvas = Canvas()
        self._memory = KeptMemory()
        self._enough_pixels = enough_pixels(settings.augmentation)
        self._window: tuple[int, int] | None = None

    def __getitem__(self, position: int) -> RawBatch | UserError:
        """Batch number `position`, or the user's error as a value: a worker's exceptions arrive as tracebacks."""
        try:
            return self.make(position)
        except UserError as error:
            return error

    def make(self, position: int) -> RawBatch:
        """Batch number `position`. Errors: MissingInput when no usable image is found."""
        settings, augment = self._settings, self._settings.augmentation
        size, count = settings.batch_size, settings.augmentation.local_crops
        first = (position * settings.world_size + settings.rank) * size
        self._say_what_is_next(first)
        channels, high, low = augment.channels, augment.global_px, augment.local_px
        global_crops = self._memory.array((2, size, channels, high, high), np.uint8)
        local_crops = self._memory.array((count, size, channels, low, low), np.uint8)
        keys: list[str] = []
        numbers: list[int] = []
        skipped: list[tuple[str, str]] = []
        drawn: list[list[CropParameters]] = []
        for row, image in enumerate(self._order.image_at(np.arange(first, first + size))):
            key, pixels = self._good_image(first + row, int(image), skipped)
            numbers.append(self._crop_number(first + row, key))
            crops = self._draws.of(pixels.shape[0], pixels.shape[1], numbers[-1])
            if settings.recolour_on_device:
                drawn.append(crops)
                crops = [without_recolouring(crop) for crop in crops]
            make_crops(pixels, crops, augment, (global_crops[:, row], local_crops[:, row]))
            keys.append(key)
        return RawBatch(
            torch.from_numpy(global_crops).flatten(0, 1),
            torch.from_numpy(local_crops).flatten(0, 1),
            torch.from_numpy(self._masks(position)),
            tuple(keys),
            tuple(skipped),
            position,
            tuple(numbers),
            self._recolouring(drawn) if settings.recolour_on_device else None,
        )

    def _recolouring(self, drawn: list[list[CropParameters]]) -> tuple[Recolouring, Recolouring]:
        """Of the global and of the local crops of all images, in the order of the batch: crop by crop."""
        by_crop = [[crops[number] for crops in drawn] for number in range(len(drawn[0]))]
        augment = self._settings.augmentation
        high, low = [crop for row in by_crop[:2] for crop in row], [crop for row in by_crop[2:] for crop in row]
        return pack_recolouring(high, augment), pack_recolouring(low, augment)

    def _say_what_is_next(self, sample: int) -> None:
        window = self._order.window_at(sample)
        if window != self._window:
            self._window = window
            self._source.ahead(self._order.blocks_ahead(*window))

    def _crop_number(self, sample: int, key: str) -> int:
        """Names the draws of an image's crops: its place in the stream, or its key and the epoch's crop set."""
        sets = self._settings.crop_sets
        if not sets:
            return sample
        name = int.from_bytes(hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=6).digest())
        return name * sets + sample // self._order.images % sets

    def _good_image(self, sample: int, image: int, skipped: list[tuple[str, str]]) -> tuple[str, Pixels]:
        """The image of a place in the stream, or the next one that can be decoded. Errors: MissingInput."""
        channels = self._settings.augmentation.channels
        for further in range(MOST_REPLACEMENTS):
            if further:
                image = int(self._order.image_at(np.asarray([sample + further]))[0])
            try:
                raw = self._source.read(image)
                return raw.key, decode_image(raw.data, channels, self._enough_pixels, self._canvas)
            except (BadImage, OSError) as error:
                skipped.append((self._source.name(image), str(error)))
            if further + 1 >= self._order.images:
                break
        key, reason = skipped[-1]
        raise MissingInput(
            f"{len(skipped)} images one after another cannot be used (the last: {key}: {reason}): "
            f"check {self._source.describe()}"
        )

    def _masks(self, position: int) -> NDArray[np.bool_]:
        settings = self._settings
        step, part = divmod(position, settings.batches_per_step)
        images = settings.batch_size * settings.world_size * settings.batches_per_step
        first = (part * settings.world_size + settings.rank) * settings.batch_size
        crops = [crop * images + image for crop in (0, 1) for image in range(first, first + settings.batch_size)]
        key = f"{settings.seed}:{step}"
        return batch_masks(settings.masking, settings.augmentation.global_px, settings.patch_px, crops, 2 * images, key)
