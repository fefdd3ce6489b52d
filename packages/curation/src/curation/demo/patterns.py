"""Patterns that fill a picture: stripes, waves, checks, bricks, cells, ripples.

A pattern is a soft mask of ink on a square canvas. Everything but the structure is drawn at random: position, angle,
scale, share of ink. S is the side of the canvas in px.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def stripes(rng: np.random.Generator, side_px: int) -> Floats:
    """Straight parallel bars. Shapes: -> [S, S] in [0, 1]."""
    period = side_px * rng.uniform(0.12, 0.3)
    u, _ = _turned_axes(rng, side_px)
    return _ink(np.sin(2 * np.pi * u / period) + rng.uniform(-0.4, 0.4), 2 * np.pi / period)


def waves(rng: np.random.Generator, side_px: int) -> Floats:
    """Parallel bars that swing."""
    period = side_px * rng.uniform(0.13, 0.28)
    length = side_px * rng.uniform(0.25, 0.5)
    u, v = _turned_axes(rng, side_px)
    bent = u + length * rng.uniform(0.16, 0.28) * np.sin(2 * np.pi * v / length)
    return _ink(np.sin(2 * np.pi * bent / period) + rng.uniform(-0.4, 0.4), 2 * np.pi / period)


def checks(rng: np.random.Generator, side_px: int) -> Floats:
    """A chessboard."""
    cell = side_px * rng.uniform(0.1, 0.22)
    u, v = _turned_axes(rng, side_px)
    return _ink(np.sin(np.pi * u / cell) * np.sin(np.pi * v / cell), np.pi / cell)


def bricks(rng: np.random.Generator, side_px: int) -> Floats:
    """Courses of bricks, each shifted by half a brick; the joints are the ink."""
    height = side_px * rng.uniform(0.12, 0.24)
    length = height * rng.uniform(1.7, 2.6)
    joint = height * rng.uniform(0.1, 0.18)
    u, v = _turned_axes(rng, side_px)
    shifted = u + (np.floor(v / height) % 2) * length / 2
    return _near_line(np.minimum(_to_lattice(v, height), _to_lattice(shifted, length)), joint)


def cells(rng: np.random.Generator, side_px: int) -> Floats:
    """Irregular cells around random points (Voronoi); the walls are the ink."""
    spacing = side_px * rng.uniform(0.17, 0.3)
    count = int((side_px * 1.5 / spacing) ** 2)
    centres = rng.uniform(-0.25 * side_px, 1.25 * side_px, (2, count, 1)).astype(np.float32)
    along = np.arange(side_px, dtype=np.float32)
    x_squared, y_squared = (centres - along) ** 2
    squared = y_squared[:, :, None] + x_squared[:, None, :]
    first = np.sqrt(squared.min(axis=0))
    np.put_along_axis(squared, squared.argmin(axis=0)[None], np.inf, axis=0)
    second = np.sqrt(squared.min(axis=0))
    return _near_line((second - first) / 2, spacing * rng.uniform(0.07, 0.12))


def ripples(rng: np.random.Generator, side_px: int) -> Floats:
    """Circles around one centre, which may lie outside the picture."""
    period = side_px * rng.uniform(0.13, 0.25)
    centre = rng.uniform(-0.1, 1.1, 2) * side_px
    y, x = np.mgrid[0:side_px, 0:side_px].astype(np.float32)
    radius = np.hypot(x - centre[0], (y - centre[1]) * rng.uniform(0.8, 1.25))
    return _ink(np.sin(2 * np.pi * radius / period + rng.uniform(0, 6.28)) + rng.uniform(-0.4, 0.4), 2 * np.pi / period)


def _turned_axes(rng: np.random.Generator, side_px: int) -> tuple[Floats, Floats]:
    """Coordinates in px along two axes turned by a random angle, with a random origin and a slight shear."""
    y, x = np.mgrid[0:side_px, 0:side_px].astype(np.float32)
    angle, shear = rng.uniform(0, np.pi), rng.uniform(-0.15, 0.15)
    u = np.cos(angle) * x + np.sin(angle) * y
    v = -np.sin(angle) * x + np.cos(angle) * y
    u, v = u + shear * v + rng.uniform(0, side_px), v + rng.uniform(0, side_px)
    return u.astype(np.float32), v.astype(np.float32)


def _ink(wave: NDArray[np.floating], slope: float) -> Floats:
    """Ink where the wave is positive, with an edge of about one px. `slope`: steepest change of the wave per px."""
    return np.asarray(np.clip(0.5 + wave / slope, 0, 1), np.float32)


def _to_lattice(coordinate: Floats, step: float) -> Floats:
    """Distance in px to the nearest multiple of `step`."""
    return np.asarray(np.abs(np.mod(coordinate + step / 2, step) - step / 2), np.float32)


def _near_line(distance: NDArray[np.floating], half_width: float) -> Floats:
    return np.asarray(np.clip(half_width - distance + 0.5, 0, 1), np.float32)
