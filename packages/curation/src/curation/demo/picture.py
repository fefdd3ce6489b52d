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
    "bricks": patterns.bricks,
    "cells": patterns.cells,
    "checks": patterns.checks,
    "ripples": patterns.ripples,
    "stripes": patterns.stripes,
    "waves": patterns.waves,
}
THINGS: dict[str, Callable[[np.random.Generator, int], Iterator[things.Thing]]] = {
    "crosses": things.strew(things.cross),
    "discs": things.strew(things.disc),
    "rings": things.strew(things.ring),
    "stars": things.strew(things.star),
    "straws": things.straws,
    "triangles": things.strew(things.triangle),
}
KINDS = tuple(sorted([*PATTERNS, *THINGS]))


def draw_picture(kind: str, rng: np.random.Generator, side_px: int) -> Image:
    """A picture of one of KINDS. Shapes: -> uint8 [side_px, side_px, 3], RGB."""
    ground_level = float(rng.uniform(0.15, 0.85))
    picture = colour_field(rng, side_px, ground_level, spread=0.12)
    if kind in PATTERNS:
        ink = colour_field(rng, side_px, _other_level(rng, ground_level), spread=0.12)
        mask = PATTERNS[kind](rng, side_px)[..., None]
        picture += mask * (ink - picture)
    else:
        for thing in THINGS[kind](rng, side_px):
            thing.paint(picture, _colour(rng, _other_level(rng, ground_level)))
    return _photograph(picture, rng)


def colour_field(rng: np.random.Generator, side_px: int, level: float, spread: float) -> Floats:
    """A ground whose colour changes smoothly around a lightness. Shapes: -> [S, S, 3]."""
    corners = np.stack([_colour(rng, level + rng.uniform(-spread, spread)) for _ in range(4)]).reshape(2, 2, 3)
    return np.asarray(cv2.resize(corners, (side_px, side_px), interpolation=cv2.INTER_LINEAR), np.float32)


def _colour(rng: np.random.Generator, level: float) -> Floats:
    """A random colour of about the given lightness, from grey to vivid."""
    tint = rng.uniform(-1, 1, 3) * rng.uniform(0.05, 0.35)
    colour = level + tint - tint.sum() / 3
    return np.asarray(np.minimum(np.maximum(colour, 0.02), 0.98), np.float32)


def _other_level(rng: np.random.Generator, level: float) -> float:
    """A lightness that stands out from `level`, above or below it."""
    step = rng.uniform(0.25, 0.5)
    up = level + step <= 0.95
    down = level - step >= 0.05
    sign = 1 if up and (not down or rng.random() < 0.5) else -1
    return min(max(level + sign * float(step), 0.04), 0.96)


def _photograph(picture: Floats, rng: np.random.Generator) -> Image:
    """Coloured light from one side, a soft lens, grain."""
    side_px = len(picture)
    light = rng.uniform(0.75, 1.15, (2, 2, 3)).astype(np.float32)
    lit = picture * cv2.resize(light, (side_px, side_px), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.3:
        lit = cv2.GaussianBlur(lit, (0, 0), rng.uniform(0.4, 0.8))
    grain = rng.standard_normal(lit.shape, dtype=np.float32) * rng.uniform(0.005, 0.04)
    return np.asarray(np.clip((lit + grain) * 255, 0, 255), np.uint8)
