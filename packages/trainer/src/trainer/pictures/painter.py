"""Looks at a few images through the model as it is, and keeps what it sees in the run folder.

Dimensions: P shown images, G images of the gallery, C channels, S side in px, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from contracts.errors import MissingInput
from trainer.data.sources.source import ImageSource
from trainer.evaluate.eval_images import EvalTransform, ImageBatch, image_batches
from trainer.pictures.class_attention import tokens_and_attention
from trainer.pictures.folder import COMPONENTS, PictureFolder, StepPictures, resized, side_by_side
from trainer.pictures.patch_components import patch_colours

Pixels = NDArray[np.uint8]
Pictures = Callable[[nn.Module, int], Mapping[str, Pixels]]
"""Backbone and step -> pictures by name, uint8 [H, W, 3], for TensorBoard."""
NEAREST = 5
EVENT_TILE_PX = 112


@dataclass(frozen=True)
class PainterSettings:
    """Images shown, images of the gallery, images per forward pass, device and autocast dtype."""

    images: int
    gallery: int
    batch_size: int = 64
    device: torch.device | str = "cpu"
    dtype: torch.dtype | None = None


class Painter:
    """Paints the same images at every call. They are spread evenly over the source and decoded once.

    `large` prepares the shown images, `small` the gallery.
    """

    def __init__(
        self,
        source: ImageSource,
        large: EvalTransform,
        small: EvalTransform,
        folder: PictureFolder,
        settings: PainterSettings,
    ) -> None:
        self._source, self._large, self._small = source, large, small
        self._folder, self._settings = folder, settings
        self._begun = False

    def __call__(self, backbone: nn.Module, step: int) -> Mapping[str, Pixels]:
        """Paint and keep what the model makes of the images after a step; gives strips to look at."""
        backbone.eval()
        if not self._begun:
            self._folder.begin(self._shown.keys, _rgb(self._shown.pixels), self._small_pictures)
            self._begun = True
        features, attention = self._seen(backbone)
        pictures = StepPictures(
            components=patch_colours(features, self._before(step)),
            attention=None if attention is None else _brightness(attention.mean(1)),
            neighbours=self._neighbours(backbone),
        )
        self._folder.write_step(step, pictures)
        strips = {"images": _rgb(self._shown.pixels), "components": pictures.components}
        if pictures.attention is not None:
            strips["attention"] = pictures.attention[..., None].repeat(3, -1)
        found = {name: _strip(tiles) for name, tiles in strips.items()}
        return found | {"neighbours": sheet} if (sheet := self._neighbour_sheet(pictures.neighbours)).size else found

    @cached_property
    def _gallery(self) -> list[ImageBatch]:
        chosen = spread(len(self._source), self._settings.gallery)
        return list(image_batches(self._source, self._small, chosen, self._settings.batch_size))

    @cached_property
    def _shown(self) -> ImageBatch:
        chosen = spread(len(self._source), self._settings.images)
        [batch] = image_batches(self._source, self._large, chosen, len(chosen))
        if not batch.keys:
            raise MissingInput(f"none of {len(chosen)} images to paint could be read from {self._source.describe()}")
        return batch

    @property
    def _small_pictures(self) -> Pixels:
        found = [_rgb(batch.pixels) for batch in self._gallery]
        return np.concatenate(found) if found else np.zeros((0, 1, 1, 3), np.uint8)

    def _before(self, step: int) -> Pixels | None:
        """The colours of the step before, if the run has any."""
        earlier = [other for other in self._folder.steps() if other < step]
        return np.stack(self._folder.tiles(earlier[-1], COMPONENTS)) if earlier else None

    def _seen(self, backbone: nn.Module) -> tuple[Tensor, Tensor | None]:
        """Patch tokens and attention of the shown images."""
        with self._autocast():
            images = self._large.normalised(self._shown.pixels.to(self._settings.device))
            features, attention = tokens_and_attention(backbone, images)
        return features.patches.float(), attention

    def _neighbours(self, backbone: nn.Module) -> tuple[tuple[tuple[int, float], ...], ...]:
        """The shown images' nearest ones in the gallery, by class token; an image is not its own neighbour."""
        if not self._gallery:
            return tuple(() for _ in self._shown.keys)
        keys = [key for batch in self._gallery for key in batch.keys]
        bank = torch.cat([self._class_tokens(backbone, batch.pixels, self._small) for batch in self._gallery])
        queries = self._class_tokens(backbone, self._shown_small, self._small)
        cosines = F.normalize(queries, dim=-1) @ F.normalize(bank, dim=-1).T
        own = torch.tensor([[key == other for other in keys] for key in self._shown.keys])
        values, places = cosines.masked_fill(own, -2.0).topk(min(NEAREST, len(keys)))
        return tuple(
            tuple((place, round(value, 4)) for place, value in zip(row, found, strict=True) if value > -2)
            for row, found in zip(places.tolist(), values.tolist(), strict=True)
        )

    def _neighbour_sheet(self, neighbours: Sequence[Sequence[tuple[int, float]]]) -> Pixels:
        """Each shown image in a row with its neighbours, the nearest first; empty without a gallery."""
        gallery = self._small_pictures
        blank = np.full((EVENT_TILE_PX, EVENT_TILE_PX, 3), 255, np.uint8)
        rows = []
        for image, near in zip(_rgb(self._shown.pixels), neighbours, strict=True):
            tiles = [resized(pixels, EVENT_TILE_PX) for pixels in (image, *(gallery[place] for place, _ in near))]
            rows.append(side_by_side(np.stack([*tiles, *[blank] * (1 + NEAREST - len(tiles))])))
        return np.concatenate(rows) if len(gallery) else np.zeros((0, 0, 3), np.uint8)

    @cached_property
    def _shown_small(self) -> Tensor:
        side = self._small.image_px
        shrunk = F.interpolate(self._shown.pixels.float(), size=(side, side), mode="bicubic", antialias=True)
        return shrunk.round().clamp(0, 255).to(torch.uint8)

    @torch.no_grad()
    def _class_tokens(self, backbone: nn.Module, pixels: Tensor, transform: EvalTransform) -> Tensor:
        with self._autocast():
            tokens: Tensor = backbone(transform.normalised(pixels.to(self._settings.device))).cls
        return tokens.float().cpu()

    def _autocast(self) -> torch.autocast:
        dtype = self._settings.dtype
        return torch.autocast(torch.device(self._settings.device).type, dtype=dtype, enabled=dtype is not None)


def spread(images: int, wanted: int) -> NDArray[np.int64]:
    """So many places, or all, spread evenly over a source."""
    count = min(images, wanted)
    return np.linspace(0, images, count, endpoint=False).astype(np.int64)


def _strip(tiles: Pixels) -> Pixels:
    return side_by_side(np.stack([resized(tile, EVENT_TILE_PX) for tile in tiles]))


def _brightness(maps: Tensor) -> Pixels:
    """Every map from black to white on its own. Shapes: [P, h, h] -> uint8 [P, h, h]."""
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    scaled = torch.nan_to_num((maps - low) / (high - low).clamp_min(1e-12))
    return (scaled * 255).round().to(torch.uint8).cpu().numpy()


def _rgb(pixels: Tensor) -> Pixels:
    """To look at: one channel becomes grey, of more than three the first three are taken. Shapes: [P, S, S, 3]."""
    tiles = pixels.permute(0, 2, 3, 1).numpy()
    return np.ascontiguousarray(tiles[..., :3] if tiles.shape[-1] >= 3 else tiles[..., :1].repeat(3, -1))
