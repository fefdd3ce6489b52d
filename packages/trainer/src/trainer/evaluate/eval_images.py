"""Images for evaluation: shorter side resized, centre cropped, normalised; unreadable ones are counted and left out.

Dimensions: B images of a batch, C channels, S side of the crop in px.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from contracts.errors import ConfigError
from trainer.data.decode.image import BadImage, decode_image
from trainer.data.sources.source import ImageSource


@dataclass(frozen=True)
class EvalTransform:
    """Resize of the shorter side, centre crop, normalisation of values in 0..1 by mean and std per channel.

    `resize_px` None takes 8/7 of the crop's side as DINOv2 does (256 to 224), and the side itself below 96 px, where
    the border holds too much of the picture.
    Units: px.
    """

    image_px: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize_px: int | None = None

    @property
    def channels(self) -> int:
        """C."""
        return len(self.mean)

    @property
    def shorter_side_px(self) -> int:
        """What the shorter side is resized to."""
        if self.resize_px is not None:
            return self.resize_px
        return self.image_px if self.image_px < 96 else round(self.image_px * 8 / 7)

    def pixels(self, data: bytes) -> Tensor:
        """Decoded, resized, cropped. Shapes: uint8 [C, S, S]. Errors: BadImage."""
        image = decode_image(data, self.channels, enough_pixels=4 * self.shorter_side_px**2)
        tensor = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
        return self._cropped(self._resized(tensor))

    def normalised(self, pixels: Tensor) -> Tensor:
        """Shapes: uint8 [B, C, S, S] -> float32 [B, C, S, S]."""
        mean = torch.tensor(self.mean, device=pixels.device).view(-1, 1, 1)
        std = torch.tensor(self.std, device=pixels.device).view(-1, 1, 1)
        return (pixels.float() / 255 - mean) / std

    def _resized(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        short = min(height, width)
        side = self.shorter_side_px
        if short == side:
            return image
        size = [max(round(extent * side / short), side) for extent in (height, width)]
        return F.interpolate(image[None], size=size, mode="bicubic", antialias=True)[0]

    def _cropped(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        top, left = (height - self.image_px) // 2, (width - self.image_px) // 2
        return image[:, top : top + self.image_px, left : left + self.image_px]


@dataclass(frozen=True)
class ImageBatch:
    """Readable images of a run of indices. Shapes: pixels uint8 [B, C, S, S], labels int64 [B] (-1: none)."""

    pixels: Tensor
    labels: Tensor
    keys: tuple[str, ...]
    unreadable: int


def image_batches(
    source: ImageSource, transform: EvalTransform, indices: np.ndarray | None = None, batch_size: int = 64
) -> Iterator[ImageBatch]:
    """Batches in the order of `indices` (all images when None); the next one is decoded while one is used."""
    if transform.shorter_side_px < transform.image_px:
        raise ConfigError(
            f"images are resized to {transform.shorter_side_px} px, less than the crop of {transform.image_px} px"
        )
    order = np.arange(len(source)) if indices is None else indices
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:

        def start(first: int) -> list[Future[_Read]]:
            return [pool.submit(_read, source, transform, int(i)) for i in order[first : first + batch_size]]

        pending = start(0)
        for first in itertools.count(batch_size, batch_size):
            if not pending:
                return
            following = start(first)
            yield _batch([future.result() for future in pending], transform)
            pending = following


_Read = tuple[Tensor, int, str] | None


def _read(source: ImageSource, transform: EvalTransform, index: int) -> _Read:
    try:
        sample = source.read(index)
        return transform.pixels(sample.data), -1 if sample.label is None else sample.label, sample.key
    except (BadImage, OSError):
        return None


def _batch(found: list[_Read], transform: EvalTransform) -> ImageBatch:
    good = [item for item in found if item is not None]
    S = transform.image_px
    pixels = torch.stack([item[0] for item in good]) if good else torch.empty(0, transform.channels, S, S)
    labels = torch.tensor([item[1] for item in good], dtype=torch.int64)
    return ImageBatch(pixels, labels, tuple(item[2] for item in good), len(found) - len(good))
