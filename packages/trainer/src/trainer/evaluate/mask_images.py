"""Images with masks for segmentation: a folder with `images` and `masks`, joined by file name without its ending.

A mask is a PNG of class numbers (palette or grey), as large as its image; 255 is not counted.
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
    file = pairs.images[index]
    try:
        pixels = decode_image(file.read_bytes(), transform.channels)
    except (BadImage, OSError) as error:
        reason = str(error).partition(" <_io")[0]
        raise BrokenArtifact(f"{file} cannot be read ({reason}): copy it again or leave it and its mask out") from None
    mask = _read_mask(pairs.masks[index], file, size=(pixels.shape[1], pixels.shape[0]), side=side)
    image = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None]
    resized = torch.nn.functional.interpolate(image, size=side, mode="bicubic", antialias=True)[0]
    return resized, torch.from_numpy(mask)


def _read_mask(file: Path, image: Path, size: tuple[int, int], side: tuple[int, int]) -> np.ndarray:
    """Class numbers, resized to `side`. Shapes: int64 [S, S]. Errors: BrokenArtifact, also for another size."""
    try:
        with Image.open(file) as opened:
            found, mask = opened.size, np.array(opened.resize(side, Image.Resampling.NEAREST))
    except (OSError, UnidentifiedImageError):
        raise BrokenArtifact(f"the mask {file} cannot be read: copy it again, or leave it and {image} out") from None
    if mask.ndim != 2:
        raise BrokenArtifact(
            f"{file} is a colour picture where a mask was wanted: write a grey or palette PNG of class numbers"
        )
    if found != size:
        raise BrokenArtifact(
            f"the mask {file} has {found[0]} x {found[1]} px and {image} has {size[0]} x {size[1]}: a mask gives every "
            "pixel of its image a class"
        )
    if mask.min() < 0 or mask.max() > IGNORED:
        raise BrokenArtifact(
            f"the mask {file} holds the number {mask.max()}: classes go from 0 to 254, and 255 is not counted"
        )
    return mask.astype(np.int64)
