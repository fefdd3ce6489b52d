"""What lies in a run's pictures/ folder: small picture files that need no model to be looked at.

    shown.json                     keys of the shown images, number of images; published after the two sheets below
    images.jpg                     the shown images side by side
    gallery.jpg                    all images of the gallery, GALLERY_COLUMNS a row
    step_00000100/components.png   the shown images' patches as colours, one pixel per patch, side by side
    step_00000100/attention.png    the class token's attention to them in the last block, likewise, grey
    step_00000100/neighbours.json  of each shown image: [place in the gallery, cosine], nearest first

Dimensions: P shown images, h patches along a side, S side of a tile in px.
"""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from contracts.publish import draft, publish_bytes, publish_json, read_json, remove_drafts

Pixels = NDArray[np.uint8]
SHOWN, IMAGES, GALLERY = "shown.json", "images.jpg", "gallery.jpg"
COMPONENTS, ATTENTION, NEIGHBOURS = "components.png", "attention.png", "neighbours.json"
IMAGE_TILE_PX, GALLERY_TILE_PX, GALLERY_COLUMNS = 112, 56, 16
JPEG_QUALITY = 82
_STEP = re.compile(r"step_(\d{8})")


@dataclass(frozen=True)
class StepPictures:
    """What a model makes of the shown images after a step.

    Shapes: components uint8 [P, h, h, 3], attention uint8 [P, h, h]; neighbours per image: (place, cosine).
    """

    components: Pixels
    attention: Pixels | None
    neighbours: tuple[tuple[tuple[int, float], ...], ...]


class PictureFolder:
    """Writes and reads a run's pictures. Every step's folder is published whole."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def begin(self, keys: Sequence[str], images: Pixels, gallery: Pixels) -> None:
        """Publish the shown images and the gallery; pictures of others that are there are removed.

        Shapes: [P, S, S, 3] each.
        """
        shown = {"images": len(images), "gallery": len(gallery), "keys": list(keys)}
        if (self.root / SHOWN).is_file() and self.shown() == shown:
            remove_drafts(self.root)
            return
        if self.root.is_dir():
            shutil.rmtree(self.root)
        self.root.mkdir(parents=True)
        publish_bytes(self.root / IMAGES, jpeg(side_by_side(_tiles(images, IMAGE_TILE_PX))))
        if len(gallery):
            publish_bytes(self.root / GALLERY, jpeg(_sheet(_tiles(gallery, GALLERY_TILE_PX))))
        publish_json(self.root / SHOWN, shown)

    def write_step(self, step: int, pictures: StepPictures) -> None:
        """Publish what a step shows."""
        with draft(self.root / f"step_{step:08}") as rough:
            rough.mkdir()
            (rough / COMPONENTS).write_bytes(png(side_by_side(pictures.components)))
            if pictures.attention is not None:
                (rough / ATTENTION).write_bytes(png(side_by_side(pictures.attention)))
            publish_json(rough / NEIGHBOURS, [[list(pair) for pair in near] for near in pictures.neighbours])

    def steps(self) -> list[int]:
        """Steps that have pictures, in order."""
        found = self.root.iterdir() if (self.root / SHOWN).is_file() else iter(())
        return sorted(int(match[1]) for path in found if (match := _STEP.fullmatch(path.name)))

    def path(self, step: int, name: str) -> Path:
        """A file of a step."""
        return self.root / f"step_{step:08}" / name

    def tiles(self, step: int, name: str) -> list[Pixels]:
        """The pictures of a step, one for each shown image; none where the step has no such file."""
        file = self.path(step, name)
        return cut(_read(file), int(self.shown()["images"])) if file.is_file() else []

    def neighbours(self, step: int) -> list[list[tuple[int, float]]]:
        """Of each shown image: (place in the gallery, cosine), nearest first."""
        file = self.path(step, NEIGHBOURS)
        return [[(int(place), float(cosine)) for place, cosine in near] for near in read_json(file)]

    def images(self) -> list[Pixels]:
        """The shown images as small pictures."""
        return cut(_read(self.root / IMAGES), int(self.shown()["images"]))

    def gallery(self, places: Sequence[int]) -> dict[int, Pixels]:
        """Small pictures of the gallery by place."""
        if not places or not (self.root / GALLERY).is_file():
            return {}
        sheet, side = _read(self.root / GALLERY), GALLERY_TILE_PX
        corners = {place: (place // GALLERY_COLUMNS * side, place % GALLERY_COLUMNS * side) for place in set(places)}
        return {place: sheet[top : top + side, left : left + side] for place, (top, left) in corners.items()}

    def shown(self) -> dict[str, Any]:
        """shown.json."""
        found: dict[str, Any] = read_json(self.root / SHOWN)
        return found


def side_by_side(tiles: Pixels) -> Pixels:
    """Shapes: [P, S, S, ...] -> [S, P * S, ...]."""
    return np.concatenate(list(tiles), axis=1)


def cut(strip: Pixels, count: int) -> list[Pixels]:
    """The inverse of side_by_side."""
    return list(np.split(strip, count, axis=1))


def png(pixels: Pixels) -> bytes:
    """A lossless picture. Shapes: [H, W] or [H, W, 3]."""
    return _encoded(pixels, "PNG", optimize=True)


def jpeg(pixels: Pixels) -> bytes:
    """A small picture. Shapes: [H, W, 3]."""
    return _encoded(pixels, "JPEG", quality=JPEG_QUALITY)


def resized(pixels: Pixels, side: int) -> Pixels:
    """A square picture at another size, without a smoothing that would invent detail when it grows."""
    smooth = Image.Resampling.LANCZOS if side < len(pixels) else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(pixels).resize((side, side), smooth))


def _tiles(images: Pixels, side: int) -> Pixels:
    return np.stack([resized(image, side) for image in images])


def _sheet(tiles: Pixels) -> Pixels:
    """Rows of GALLERY_COLUMNS; the last one is filled with white."""
    missing = -len(tiles) % GALLERY_COLUMNS
    filled = np.concatenate([tiles, np.full((missing, *tiles.shape[1:]), 255, np.uint8)])
    rows = [side_by_side(filled[start : start + GALLERY_COLUMNS]) for start in range(0, len(filled), GALLERY_COLUMNS)]
    return np.concatenate(rows)


def _encoded(pixels: Pixels, kind: str, **options: Any) -> bytes:
    box = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(box, kind, **options)
    return box.getvalue()


def _read(file: Path) -> Pixels:
    with Image.open(file) as image:
        return np.asarray(image)
