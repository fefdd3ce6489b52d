"""One picture of a kind: its structure in random colours, on a random ground, in random light.

Neither raw pixels nor colours tell the kind: every picture draws its own colours, every thing in it too, ink may be
lighter or darker than the ground, and coloured light changes across the picture. S is the side of the canvas in px.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from curation.demo import patterns, things

Floats = NDArray[np.float32]
Image = NDArray[np.uint8]

PATTERNS: dict[str, Callable[[np.random.Generator, int], Floats]] = {
    "blots": patterns.blots,
    "bricks": patterns.bricks,
    "cells": patterns.cells,
    "checks": patterns.checks,
    "mesh": patterns.mesh,
    "ripples": patterns.ripples,
    "stripes": patterns.stripes,
    "waves": patterns.waves,
}
THINGS: dict[str, Callable[[np.random.Generator, int], Iterator[things.Thing]]] = {
    "crosses": things.crosses,
    "dots": things.dots,
    "rings": things.rings,
    "straws": things.straws,
}
KINDS = tuple(sorted([*PATTERNS, *THINGS]))
# Differences in lightness: ink against ground, thing against thing, within a ground.
CONTRAST = (0.35, 0.6)
THING_SPREAD, GROUND_SPREAD = 0.08, 0.15
TINT = 0.35


def draw_picture(kind: str, rng: np.random.Generator, side_px: int) -> Image:
    """A picture of one of KINDS. Shapes: -> uint8 [side_px, side_px, 3], RGB."""
    ground, ink = _two_levels(rng)
    picture = _colour_field(rng, side_px, ground)
    if kind in PATTERNS:
        picture += PATTERNS[kind](rng, side_px)[..., None] * (_colour_field(rng, side_px, ink) - picture)
    else:
        for thing in THINGS[kind](rng, side_px):
            thing.paint(picture, _colour(rng, ink + rng.uniform(-THING_SPREAD, THING_SPREAD)))
    return _photograph(picture, rng)


def _two_levels(rng: np.random.Generator) -> tuple[float, float]:
    """Lightness of ground and ink, well apart, either of them the lighter."""
    step = rng.uniform(*CONTRAST)
    dark = rng.uniform(0.08, 0.92 - step)
    return (dark, dark + step) if rng.random() < 0.5 else (dark + step, dark)


def _colour_field(rng: np.random.Generator, side_px: int, level: float) -> Floats:
    """A colour that changes smoothly around a lightness. Shapes: -> [S, S, 3]."""
    levels = level + rng.uniform(-GROUND_SPREAD, GROUND_SPREAD, 4)
    corners = np.stack([_colour(rng, corner) for corner in levels]).reshape(2, 2, 3)
    return np.asarray(cv2.resize(corners, (side_px, side_px), interpolation=cv2.INTER_LINEAR), np.float32)


def _colour(rng: np.random.Generator, level: float) -> Floats:
    """A random colour of about the given lightness, from grey to vivid."""
    tint = rng.uniform(-1, 1, 3) * rng.uniform(0.03, TINT)
    colour = level + tint - tint.sum() / 3
    return np.asarray(np.minimum(np.maximum(colour, 0.02), 0.98), np.float32)


def _photograph(picture: Floats, rng: np.random.Generator) -> Image:
    """Coloured light from one side, and grain."""
    side_px = len(picture)
    light = rng.uniform(0.5, 1.2, (2, 2, 3)).astype(np.float32)
    lit = picture * cv2.resize(light, (side_px, side_px), interpolation=cv2.INTER_LINEAR)
    grain = rng.standard_normal(lit.shape, dtype=np.float32) * rng.uniform(0.005, 0.03)
    return np.asarray(np.clip((lit + grain) * 255, 0, 255), np.uint8)
