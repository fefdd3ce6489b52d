"""Things strewn over a picture: crosses, dots, rings, straws.

A picture holds many things of one kind, each of its own size, angle and colour, so that any part of the picture shows
the kind and no colour does. S is the side of the canvas in px.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from curation.demo.patterns import TILT, scale

Points = NDArray[np.float64]
# Sub-pixel bits of OpenCV's drawing coordinates.
SHIFT = 4
DOT_COLOURS = 8
_ANGLES = 2 * np.pi * np.arange(24) / 24
CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)


@dataclass(frozen=True)
class Thing:
    """Soft ink of one thing in a window of the canvas. Shapes: ink float32 [height, width, 1] in [0, 1]."""

    top: int
    left: int
    ink: NDArray[np.float32]

    def paint(self, canvas: NDArray[np.float32], colour: NDArray[np.float32]) -> None:
        """Lay the thing in one colour over a canvas [S, S, 3]."""
        height, width = self.ink.shape[:2]
        window = canvas[self.top : self.top + height, self.left : self.left + width]
        window += self.ink * (colour - window)


def dots(rng: np.random.Generator, side_px: int) -> Iterator[Thing]:
    """Small discs, close together, a few of each colour."""
    places = list(_places(rng, side_px, scale(rng, 0.13 * side_px), 0.3))
    colour = rng.integers(0, DOT_COLOURS, len(places))
    for number in range(DOT_COLOURS):
        chosen = [place for place, c in zip(places, colour, strict=True) if c == number]
        yield from _fill([middle + radius * CIRCLE for middle, radius in chosen], side_px)


def rings(rng: np.random.Generator, side_px: int) -> Iterator[Thing]:
    """Large circles with a round hole."""
    for middle, radius in _places(rng, side_px, scale(rng, 0.34 * side_px), 0.42):
        yield from _fill([middle + radius * CIRCLE, middle + rng.uniform(0.5, 0.65) * radius * CIRCLE], side_px)


def crosses(rng: np.random.Generator, side_px: int) -> Iterator[Thing]:
    """Plus signs, tilted."""
    for middle, radius in _places(rng, side_px, scale(rng, 0.28 * side_px), 0.45):
        long, wide, angle = radius, radius * rng.uniform(0.28, 0.4), rng.uniform(-TILT, TILT)
        quarter = np.array([(long, wide), (wide, wide), (wide, long)])
        corners = np.concatenate([quarter @ _turn(angle - quarters * np.pi / 2) for quarters in range(4)])
        yield from _fill([middle + corners], side_px)


def straws(rng: np.random.Generator, side_px: int) -> Iterator[Thing]:
    """Long thin bars in all directions."""
    width = side_px * rng.uniform(0.025, 0.05)
    for _ in range(int(rng.integers(9, 18))):
        middle, angle = rng.uniform(0, side_px, 2), rng.uniform(0, np.pi)
        along = np.array([np.cos(angle), np.sin(angle)]) * side_px * rng.uniform(0.3, 0.7)
        across = np.array([-np.sin(angle), np.cos(angle)]) * width * rng.uniform(0.7, 1.3)
        corners = [middle + along + across, middle + along - across, middle - along - across, middle - along + across]
        yield from _fill([np.array(corners)], side_px)


def _turn(angle: float) -> Points:
    """A rotation of row vectors. Shapes: -> [2, 2]."""
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _places(
    rng: np.random.Generator, side_px: int, step_px: float, radius_steps: float
) -> Iterator[tuple[Points, float]]:
    """Centres [2] and radii in px on a jittered grid, some left empty: things touch but seldom hide each other."""
    across = int(side_px / step_px) + 3
    rows, columns = np.divmod(np.arange(across**2), across)
    centres = np.stack([columns, rows], axis=1) + rng.uniform(-1, 0, 2) + rng.uniform(-0.2, 0.2, (across**2, 2))
    radii = rng.uniform(0.8, 1.1, across**2) * radius_steps
    there = rng.random(across**2) < 0.92
    for middle, radius in zip(centres[there] * step_px, radii[there] * step_px, strict=True):
        yield middle, float(radius)


def _fill(polygons: list[Points], side_px: int) -> Iterator[Thing]:
    """What lies on the canvas of polygons, if anything; one inside another is a hole."""
    if not polygons:
        return
    corners = np.concatenate(polygons)
    low = np.maximum(np.floor(corners.min(axis=0)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 2, side_px)
    width, height = high - low
    if width <= 0 or height <= 0:
        return
    window = np.zeros((height, width), np.uint8)
    fixed = [np.round((points - low) * (1 << SHIFT)).astype(np.int32) for points in polygons]
    cv2.fillPoly(window, fixed, 255, lineType=cv2.LINE_AA, shift=SHIFT)
    yield Thing(int(low[1]), int(low[0]), np.asarray(window[..., None] / np.float32(255), np.float32))
