"""The pictures of a run as tables: one line per image, one column per step, early to late; the template writes them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.pictures.folder import ATTENTION, COMPONENTS, NEIGHBOURS, PictureFolder, jpeg, png

Pixels = NDArray[np.uint8]
MOST_STEPS, MOST_IMAGES = 8, 8
HEAT = ((0, 0, 4), (66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164))
"""Colours of attention from none to most, evenly spaced (matplotlib's inferno at six places)."""
TITLES = {
    COMPONENTS: (
        "Patches, as colours",
        "The first three principal components of all patches are red, green and blue: like patches have like colours, "
        "in one image and across them.",
    ),
    ATTENTION: (
        "Where the class token looks",
        "Attention of the class token to the patches in the last block, mean of the heads; each picture goes from its "
        "least (black) to its most (yellow).",
    ),
    NEIGHBOURS: (
        "Nearest neighbours, early and late",
        "By the cosine of class tokens, among the images of the gallery.",
    ),
}
"""Title and note of the pictures of a file."""


@dataclass(frozen=True)
class PictureRow:
    """A shown image, as a `data:` address, and for each column some pictures with a word below each, or none."""

    image: str
    cells: list[list[tuple[str, str]]]


@dataclass(frozen=True)
class PictureTable:
    """A table for parts.jinja. `near`: small pictures, several to a cell."""

    title: str
    note: str
    head: list[str]
    rows: list[PictureRow]
    near: bool = False


def picture_sections(pictures: PictureFolder) -> list[PictureTable]:
    """The tables of a run; none where it has no pictures."""
    steps = chosen(pictures.steps())
    if not steps:
        return []
    found = [
        _over_time(pictures, COMPONENTS, steps),
        _over_time(pictures, ATTENTION, steps),
        _neighbours(pictures, steps),
    ]
    return [table for table in found if table is not None]


def chosen(steps: Sequence[int], most: int = MOST_STEPS) -> list[int]:
    """First, last, and others evenly between."""
    if len(steps) <= most:
        return list(steps)
    return [steps[round(number * (len(steps) - 1) / (most - 1))] for number in range(most)]


def heat(grey: Pixels) -> Pixels:
    """Brightness as a colour from black over red to yellow. Shapes: [h, h] -> [h, h, 3]."""
    stops = np.linspace(0, 255, len(HEAT))
    channels = [np.interp(grey, stops, [colour[i] for colour in HEAT]) for i in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def address(data: bytes, kind: str) -> str:
    """A picture as an address that holds it."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _over_time(pictures: PictureFolder, name: str, steps: Sequence[int]) -> PictureTable | None:
    columns = {step: tiles for step in steps if (tiles := pictures.tiles(step, name))}
    if not columns:
        return None
    rows = []
    for number, image in enumerate(pictures.images()[:MOST_IMAGES]):
        tiles = [column[number] for column in columns.values()]
        cells = [[(address(png(heat(tile) if tile.ndim == 2 else tile), "png"), "")] for tile in tiles]
        rows.append(PictureRow(address(jpeg(image), "jpeg"), cells))
    title, note = TITLES[name]
    return PictureTable(title, note, [f"step {step:,}" for step in columns], rows)


def _neighbours(pictures: PictureFolder, steps: Sequence[int]) -> PictureTable | None:
    early, late = pictures.neighbours(steps[0]), pictures.neighbours(steps[-1])
    places = [place for near in (*early, *late) for place, _ in near]
    tiles = {place: address(jpeg(tile), "jpeg") for place, tile in pictures.gallery(places).items()}
    if not tiles:
        return None
    ends = {steps[0]: early, steps[-1]: late}
    rows = []
    for number, image in enumerate(pictures.images()[:MOST_IMAGES]):
        cells = [
            [(tiles[place], f"{cosine:.2f}") for place, cosine in near[number] if place in tiles]
            for near in ends.values()
        ]
        rows.append(PictureRow(address(jpeg(image), "jpeg"), cells))
    title, note = TITLES[NEIGHBOURS]
    return PictureTable(title, note, [f"step {step:,}" for step in ends], rows, near=True)
