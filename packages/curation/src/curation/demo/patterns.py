"""Patterns that fill a picture: stripes, waves, checks, meshes, bricks, cells, ripples, blots.

A pattern is a soft mask of ink on a square canvas. Everything but the structure is drawn at random: place, angle (up to
20 degrees, as cameras are held), scale, share of ink, and how the cloth that bears it is crumpled. Crumpling also keeps
any two pictures from being copies of each other. S is the side of the canvas in px.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
TILT = math.radians(20)
# Scales differ by this factor up and down.
SCALE_SPREAD = 1.25
# Standard deviation of the crumpling, in parts of the side.
CRUMPLE = 0.05


def stripes(rng: np.random.Generator, side_px: int) -> Floats:
    """Parallel bars. Shapes: -> [S, S] in [0, 1]."""
    period = scale(rng, 0.26 * side_px)
    u, _ = _cloth(rng, side_px)
    return _ink(np.sin(2 * np.pi * u / period) + rng.uniform(-0.3, 0.3), 2 * np.pi / period)


def waves(rng: np.random.Generator, side_px: int) -> Floats:
    """Parallel bars that swing."""
    period, length = scale(rng, 0.2 * side_px), scale(rng, 0.4 * side_px)
    u, v = _cloth(rng, side_px)
    return _ink(np.sin(2 * np.pi * (u + 0.25 * length * np.sin(2 * np.pi * v / length)) / period), 2 * np.pi / period)


def checks(rng: np.random.Generator, side_px: int) -> Floats:
    """A chessboard."""
    cell = scale(rng, 0.19 * side_px)
    u, v = _cloth(rng, side_px)
    return _ink(np.sin(np.pi * u / cell) * np.sin(np.pi * v / cell), np.pi / cell)


def mesh(rng: np.random.Generator, side_px: int) -> Floats:
    """Thin lines in two directions."""
    cell = scale(rng, 0.11 * side_px)
    u, v = _cloth(rng, side_px)
    return _near_line(np.minimum(_to_lattice(u, cell), _to_lattice(v, cell)), 0.13 * cell)


def bricks(rng: np.random.Generator, side_px: int) -> Floats:
    """Courses of bricks, each shifted by half a brick; the joints are the ink."""
    height = scale(rng, 0.2 * side_px)
    length = 2.2 * height
    u, v = _cloth(rng, side_px)
    shifted = u + (np.floor(v / height) % 2) * length / 2
    return _near_line(np.minimum(_to_lattice(v, height), _to_lattice(shifted, length)), 0.11 * height)


def cells(rng: np.random.Generator, side_px: int) -> Floats:
    """Irregular cells around random points (Voronoi); the walls are the ink."""
    spacing = scale(rng, 0.24 * side_px)
    count = int((side_px * 1.5 / spacing) ** 2)
    centres = rng.uniform(-0.25 * side_px, 1.25 * side_px, (2, count, 1)).astype(np.float32)
    along = np.arange(side_px, dtype=np.float32)
    x_squared, y_squared = (centres - along) ** 2
    squared = y_squared[:, :, None] + x_squared[:, None, :]
    first = np.sqrt(squared.min(axis=0))
    np.put_along_axis(squared, squared.argmin(axis=0)[None], np.inf, axis=0)
    second = np.sqrt(squared.min(axis=0))
    return _near_line((second - first) / 2, 0.09 * spacing)


def ripples(rng: np.random.Generator, side_px: int) -> Floats:
    """Rings around one centre."""
    period = scale(rng, 0.2 * side_px)
    centre = rng.uniform(0.2, 0.8, 2) * side_px
    y, x = np.mgrid[0:side_px, 0:side_px].astype(np.float32)
    radius = np.hypot(x + _folds(rng, side_px) - centre[0], y + _folds(rng, side_px) - centre[1])
    return _ink(np.sin(2 * np.pi * radius / period + rng.uniform(0, 2 * np.pi)), 2 * np.pi / period)


def blots(rng: np.random.Generator, side_px: int) -> Floats:
    """Round patches of no particular form, as on a camouflage cloth."""
    sigma = scale(rng, 0.07 * side_px)
    border = math.ceil(3 * sigma)
    noise = rng.standard_normal((side_px + 2 * border,) * 2, dtype=np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), sigma)[border:-border, border:-border]
    level = (smooth - np.median(smooth)) / max(float(smooth.std()), 1e-6)
    return np.asarray(np.clip(0.5 + 3 * level, 0, 1), np.float32)


def scale(rng: np.random.Generator, middle: float) -> float:
    """A length around `middle`, between its SCALE_SPREAD-th and its SCALE_SPREAD-fold."""
    spread = math.log(SCALE_SPREAD)
    return middle * math.exp(rng.uniform(-spread, spread))


def _cloth(rng: np.random.Generator, side_px: int) -> tuple[Floats, Floats]:
    """Coordinates in px along two tilted axes on a crumpled cloth, with a random origin. Shapes: [S, S] each."""
    y, x = np.mgrid[0:side_px, 0:side_px].astype(np.float32)
    x, y = x + _folds(rng, side_px), y + _folds(rng, side_px)
    angle = rng.uniform(-TILT, TILT)
    u = np.cos(angle) * x + np.sin(angle) * y + rng.uniform(0, side_px)
    v = -np.sin(angle) * x + np.cos(angle) * y + rng.uniform(0, side_px)
    return u.astype(np.float32), v.astype(np.float32)


def _folds(rng: np.random.Generator, side_px: int) -> Floats:
    """A smooth displacement in px. Shapes: -> [S, S]."""
    knots = rng.normal(0, CRUMPLE * side_px, (4, 4)).astype(np.float32)
    return np.asarray(cv2.resize(knots, (side_px, side_px), interpolation=cv2.INTER_CUBIC), np.float32)


def _ink(wave: NDArray[np.floating], slope: float) -> Floats:
    """Ink where the wave is positive, with an edge of about one px. `slope`: steepest change of the wave per px."""
    return np.asarray(np.clip(0.5 + wave / slope, 0, 1), np.float32)


def _to_lattice(coordinate: Floats, step: float) -> Floats:
    """Distance in px to the nearest multiple of `step`."""
    return np.asarray(np.abs(np.mod(coordinate + step / 2, step) - step / 2), np.float32)


def _near_line(distance: NDArray[np.floating], half_width: float) -> Floats:
    return np.asarray(np.clip(half_width - distance + 0.5, 0, 1), np.float32)
