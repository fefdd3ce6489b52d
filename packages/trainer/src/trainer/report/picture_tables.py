"""The pictures of a run as tables: one line per image, one column per step, early to late."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from trainer.pictures.folder import ATTENTION, COMPONENTS, PictureFolder, jpeg, png

Pixels = NDArray[np.uint8]
MOST_STEPS, MOST_IMAGES = 8, 8
HEAT = ((0, 0, 4), (66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164))
"""Colours of attention from none to most, evenly spaced (matplotlib's inferno at six places)."""


def picture_sections(pictures: PictureFolder) -> dict[str, str]:
    """Tables by title; none where the run has no pictures."""
    steps = chosen(pictures.steps())
    if not steps:
        return {}
    found = {
        "Patches, as colours": _over_time(pictures, COMPONENTS, steps),
        "Where the class token looks": _over_time(pictures, ATTENTION, steps),
        "Nearest neighbours, early and late": _neighbours(pictures, steps),
    }
    return {title: table for title, table in found.items() if table}


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


def picture(data: bytes, kind: str) -> str:
    """An image element that holds its picture."""
    return f"<img src='data:image/{kind};base64,{base64.b64encode(data).decode()}' alt=''>"


def _over_time(pictures: PictureFolder, name: str, steps: Sequence[int]) -> str:
    columns = {step: tiles for step in steps if (tiles := pictures.tiles(step, name))}
    if not columns:
        return ""
    head = "<th></th>" + "".join(f"<th>step {step:,}</th>" for step in columns)
    rows = []
    for number, image in enumerate(pictures.images()[:MOST_IMAGES]):
        tiles = [column[number] for column in columns.values()]
        cells = [picture(png(heat(tile) if tile.ndim == 2 else tile), "png") for tile in tiles]
        rows.append("".join(f"<td>{cell}</td>" for cell in (picture(jpeg(image), "jpeg"), *cells)))
    return f"<table class='pictures'><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def _neighbours(pictures: PictureFolder, steps: Sequence[int]) -> str:
    early, late = pictures.neighbours(steps[0]), pictures.neighbours(steps[-1])
    places = [place for near in (*early, *late) for place, _ in near]
    tiles = {place: picture(jpeg(tile), "jpeg") for place, tile in pictures.gallery(places).items()}
    if not tiles:
        return ""
    ends = [(steps[0], early), (steps[-1], late)] if len(steps) > 1 else [(steps[-1], late)]
    head = "<th></th>" + "".join(f"<th>step {step:,}</th>" for step, _ in ends)
    rows = []
    for number, image in enumerate(pictures.images()[:MOST_IMAGES]):
        cells = [_near(near[number], tiles) for _, near in ends]
        rows.append(f"<td>{picture(jpeg(image), 'jpeg')}</td>" + "".join(f"<td>{cell}</td>" for cell in cells))
    return f"<table class='pictures near'><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def _near(found: Sequence[tuple[int, float]], tiles: dict[int, str]) -> str:
    return "".join(f"<span>{tiles[place]}{escape(f'{cosine:.2f}')}</span>" for place, cosine in found if place in tiles)
