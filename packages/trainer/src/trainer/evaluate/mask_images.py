"""Images with masks for segmentation: a folder with `images` and `masks`, joined by file name without its ending.

A mask is a PNG of class numbers (palette or grey); 255 is not counted.
Dimensions: S side in px, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from contracts.errors import BrokenArtifact, MissingInput
from trainer.data.decode.image import BadImage, decode_image
from trainer.data.sources.image_types import is_image_suffix
from trainer.evaluate.eval_images import EvalTransform

IGNORED = 255


@dataclass(frozen=True)
class MaskedImages:
    """Files of images and of their masks, in the same order."""

    images: tuple[Path, ...]
    masks: tuple[Path, ...]

    def part(self, indices: Sequence[int]) -> MaskedImages:
        """Some of the pairs."""
        return MaskedImages(tuple(self.images[i] for i in indices), tuple(self.masks[i] for i in indices))


def open_masked(folder: Path | str) -> MaskedImages:
    """Errors: MissingInput when the folders are not there, hold nothing, or an image has no mask."""
    root = Path(folder)
    for name in ("images", "masks"):
        if not (root / name).is_dir():
            raise MissingInput(f"{root} has no folder {name}: segmentation wants {root}/images and {root}/masks")
    masks = {file.relative_to(root / "masks").with_suffix(""): file for file in (root / "masks").rglob("*.png")}
    images = sorted(file for file in (root / "images").rglob("*") if is_image_suffix(file.suffix))
    if not images:
        raise MissingInput(f"there is no image in {root / 'images'}")
    names = [file.relative_to(root / "images").with_suffix("") for file in images]
    for image, stem in zip(images, names, strict=True):
        if stem not in masks:
            raise MissingInput(f"{image} has no mask: wanted {root / 'masks' / stem}.png")
    return MaskedImages(tuple(images), tuple(masks[stem] for stem in names))


def read_masked(pairs: MaskedImages, index: int, transform: EvalTransform) -> tuple[Tensor, Tensor]:
    """One image and its mask, both resized to the transform's square (the mask without interpolation).

    Nothing is cropped: all of a mask counts. Shapes: uint8 [C, S, S], int64 [S, S]. Errors: BrokenArtifact.
    """
    side = (transform.image_px, transform.image_px)
    try:
        pixels = decode_image(pairs.images[index].read_bytes(), transform.channels)
        with Image.open(pairs.masks[index]) as opened:
            mask = np.array(opened.resize(side, Image.Resampling.NEAREST))
    except (BadImage, OSError, UnidentifiedImageError) as error:
        raise BrokenArtifact(f"{pairs.images[index]} or its mask cannot be read: {error}") from None
    if mask.ndim != 2:
        raise BrokenArtifact(f"{pairs.masks[index]} is a colour picture where a mask of class numbers was wanted")
    image = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None]
    resized = torch.nn.functional.interpolate(image, size=side, mode="bicubic", antialias=True)[0]
    return resized, torch.from_numpy(mask.astype(np.int64))
