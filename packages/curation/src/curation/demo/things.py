"""Things strewn over a picture: discs, rings, triangles, crosses, stars, straws.

A picture holds several things of one kind, each of its own size, angle and colour, so that any part of the picture
shows the kind and no colour does. S is the side of the canvas in px.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Outline = Callable[[np.random.Generator], list[Points]]
# Sub-pixel bits of OpenCV's drawing coordinates.
SHIFT = 4


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


def strew(outline: Outline) -> Callable[[np.random.Generator, int], Iterator[Thing]]:
    """A painter of many things from the outline of one: polygons within the unit circle, the later ones are holes."""

    def things(rng: np.random.Generator, side_px: int) -> Iterator[Thing]:
        for x, y, radius in _places(rng, side_px):
            angle = rng.uniform(0, 2 * np.pi)
            turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            squeeze = np.diag([1.0, rng.uniform(0.8, 1.0)])
            yield from _fill([points @ squeeze @ turn.T * radius + (x, y) for points in outline(rng)], side_px)

    return things


def disc(_rng: np.random.Generator) -> list[Points]:
    """A full circle."""
    return [_regular(24)]


def ring(rng: np.random.Generator) -> list[Points]:
    """A circle with a round hole."""
    return [_regular(24), _regular(24) * rng.uniform(0.5, 0.65)]


def triangle(_rng: np.random.Generator) -> list[Points]:
    """Three corners."""
    return [_regular(3) * 1.15]


def cross(rng: np.random.Generator) -> list[Points]:
    """Two bars at a right angle."""
    a, b = 1.1, rng.uniform(0.28, 0.4)
    quarter = np.array([(a, b), (b, b), (b, a)])
    turns = [np.array([[c, -s], [s, c]]) for c, s in ((1, 0), (0, 1), (-1, 0), (0, -1))]
    return [np.concatenate([quarter @ turn.T for turn in turns])]


def star(rng: np.random.Generator) -> list[Points]:
    """Five or six spikes."""
    spikes = int(rng.integers(5, 7))
    points = _regular(2 * spikes) * 1.2
    points[1::2] *= rng.uniform(0.38, 0.48)
    return [points]


def straws(rng: np.random.Generator, side_px: int) -> Iterator[Thing]:
    """Long thin lines in all directions."""
    width = side_px * rng.uniform(0.025, 0.05)
    for _ in range(int(rng.integers(9, 18))):
        middle, angle = rng.uniform(0, side_px, 2), rng.uniform(0, np.pi)
        along = np.array([np.cos(angle), np.sin(angle)]) * side_px * rng.uniform(0.3, 0.7)
        across = np.array([-np.sin(angle), np.cos(angle)]) * width * rng.uniform(0.7, 1.3)
        corners = [middle + along + across, middle + along - across, middle - along - across, middle - along + across]
        yield from _fill([np.array(corners)], side_px)


def _places(rng: np.random.Generator, side_px: int) -> Iterator[tuple[float, float, float]]:
    """Centres and radii in px on a jittered grid, some left empty: things touch but seldom hide each other."""
    across = int(rng.integers(2, 5))
    step = side_px / across
    rows, columns = np.divmod(np.arange((across + 1) ** 2), across + 1)
    centres = np.stack([columns, rows], axis=1) + rng.uniform(-0.5, 0.0, 2) + 0.5
    centres += rng.uniform(-0.18, 0.18, centres.shape)
    radii = rng.uniform(0.3, 0.5, len(centres))
    there = rng.random(len(centres)) < 0.85
    for (x, y), radius in zip(centres[there] * step, radii[there] * step, strict=True):
        yield float(x), float(y), float(radius)


@cache
def _regular(corners: int) -> Points:
    """Corners on the unit circle. The array is shared: not to be changed."""
    angle = 2 * np.pi * np.arange(corners) / corners
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _fill(polygons: list[Points], side_px: int) -> Iterator[Thing]:
    """The part of a polygon with holes that lies on the canvas, if any."""
    low = np.maximum(np.floor(polygons[0].min(axis=0)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(polygons[0].max(axis=0)).astype(int) + 2, side_px)
    width, height = high - low
    if width <= 0 or height <= 0:
        return
    window = np.zeros((height, width), np.uint8)
    fixed = [np.round((points - low) * (1 << SHIFT)).astype(np.int32) for points in polygons]
    cv2.fillPoly(window, fixed, 255, lineType=cv2.LINE_AA, shift=SHIFT)
    yield Thing(int(low[1]), int(low[0]), np.asarray(window[..., None] / np.float32(255), np.float32))
