"""The offline look-alike descriptor: what a picture is like, not whether it is the same. No download, no torch.

Three parts of equal weight: where which colours lie (Lab means on a 4 x 4 grid), how much of which colour there is
(soft histogram of hue, saturation and value), and which edges run where (oriented gradients on a 4 x 4 grid). Each part
is centred on a grey, edgeless picture and the horizontal halves are averaged with their mirror image, so that a
mirrored picture has the same vector.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SIDE_PX = 64
GRID = 4
ORIENTATIONS = 8
HUES, SATURATIONS, VALUES = 12, 3, 4

Floats = NDArray[np.float32]


class SceneDescriptor:
    """Finds pictures of like colours, layout and texture."""

    name = "scene"
    version = "1"
    default_threshold: float | None = None
    default_against_threshold: float | None = None
    max_side_px: int | None = 512
    odd_dims = 0
    dim = 3 * GRID * GRID + HUES * SATURATIONS * VALUES + ORIENTATIONS * GRID * GRID

    def embed_images(self, images: Sequence[NDArray[np.uint8]]) -> Floats:
        """Shapes: uint8 [H, W, 3] each -> float32 [len(images), dim]."""
        out = np.empty((len(images), self.dim), np.float32)
        for row, image in enumerate(images):
            out[row] = self._describe(image)
        return out

    def _describe(self, image: NDArray[np.uint8]) -> Floats:
        import cv2

        small = cv2.resize(image, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
        lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32)
        parts = [_layout(lab), _palette(cv2.cvtColor(small, cv2.COLOR_RGB2HSV)), _edges(lab[:, :, 0])]
        vector = np.concatenate([_unit(part) for part in parts])
        return _unit(vector)


def _unit(vector: Floats) -> Floats:
    length = float(np.linalg.norm(vector))
    if length < 1e-6:
        return np.full_like(vector, len(vector) ** -0.5)
    return np.asarray(vector / length, np.float32)


def _symmetric(cells: Floats) -> Floats:
    """Mean of a grid and its mirror image. Shapes: [GRID, GRID, C] -> the same."""
    return np.asarray((cells + cells[:, ::-1]) / 2, np.float32)


def _cells(plane: Floats) -> Floats:
    """Mean of every grid cell. Shapes: [SIDE_PX, SIDE_PX, C] -> [GRID, GRID, C]."""
    step = SIDE_PX // GRID
    return np.asarray(plane.reshape(GRID, step, GRID, step, -1).mean(axis=(1, 3)), np.float32)


def _layout(lab: Floats) -> Floats:
    centred = lab - np.array([128, 128, 128], np.float32)
    # Colour differences span a fraction of the range of lightness differences.
    return _symmetric(_cells(centred * np.array([1, 2, 2], np.float32))).ravel()


def _palette(hsv: NDArray[np.uint8]) -> Floats:
    """Square roots of a histogram (Hellinger kernel). OpenCV's hue runs from 0 to 179."""
    hue = hsv[:, :, 0].astype(np.int64) * HUES // 180
    saturation = hsv[:, :, 1].astype(np.int64) * SATURATIONS // 256
    value = hsv[:, :, 2].astype(np.int64) * VALUES // 256
    # Without saturation or light the hue is noise.
    hue[(saturation == 0) | (value == 0)] = 0
    bins = (hue * SATURATIONS + saturation) * VALUES + value
    counts = np.bincount(bins.ravel(), minlength=HUES * SATURATIONS * VALUES)
    return np.asarray(np.sqrt(counts / counts.sum()), np.float32)


def _edges(lightness: Floats) -> Floats:
    dy, dx = np.gradient(lightness)
    strength = np.hypot(dx, dy)
    turn = np.mod(np.arctan2(dy, dx), np.pi) / np.pi * ORIENTATIONS
    low = np.floor(turn).astype(np.int64) % ORIENTATIONS
    share = (turn - np.floor(turn)).astype(np.float32)
    maps = np.zeros((SIDE_PX, SIDE_PX, ORIENTATIONS), np.float32)
    y, x = np.mgrid[0:SIDE_PX, 0:SIDE_PX]
    maps[y, x, low] += strength * (1 - share)
    maps[y, x, (low + 1) % ORIENTATIONS] += strength * share
    cells = np.sqrt(_cells(maps))
    # In a mirror the grid turns over and orientation i becomes -i.
    turned = cells[:, ::-1][:, :, (-np.arange(ORIENTATIONS)) % ORIENTATIONS]
    return np.asarray((cells + turned) / 2, np.float32).ravel()
