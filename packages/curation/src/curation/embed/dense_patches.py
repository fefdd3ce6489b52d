"""Patches all over a picture, each as a histogram of edge directions in 4 x 4 cells, at three sizes.

Source: the SIFT descriptor (Lowe 2004) on a dense grid, with the square root of Arandjelovic and Zisserman 2012
(RootSIFT). Differs: square cells of equal weight (box means instead of a Gaussian window), no rotation to a main
direction.

Dimensions: n patches; 128 = 4 rows x 4 columns x 8 directions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LONG_SIDES_PX = (128, 88, 64)
CELL_PX = 4
GRID, DIRECTIONS = 4, 8
WIDTH = GRID * GRID * DIRECTIONS
# Mean edge strength of a patch, in grey levels of a 3 x 3 Sobel filter, below which it is empty.
EMPTY_BELOW = 4.8

Floats = NDArray[np.float32]


def reduced(image: NDArray[np.uint8], long_side_px: int = LONG_SIDES_PX[0]) -> NDArray[np.uint8]:
    """The picture at one scale, of whole cells and at least one patch. Shapes: [H, W, ...] -> [h, w, ...]."""
    import cv2

    height, width = image.shape[:2]
    scale = long_side_px / max(height, width)
    size = [max(GRID, round(side * scale / CELL_PX)) * CELL_PX for side in (width, height)]
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size, interpolation=method), np.uint8)


def dense_patches(picture: NDArray[np.uint8]) -> tuple[Floats, float]:
    """Patches that are not empty, and their share of all patches. Shapes: uint8 [h, w, 3] of `reduced` -> [n, 128]."""
    import cv2

    grey = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)
    found, possible = [], 0
    for long_side_px in LONG_SIDES_PX:
        if max(grey.shape) != long_side_px:
            grey = reduced(grey, long_side_px)
        patches = _patches(_cells(grey.astype(np.float32)))
        strength = patches.sum(axis=1)
        possible += len(patches)
        full = strength > EMPTY_BELOW * GRID * GRID
        found.append(np.sqrt(patches[full] / strength[full, None]))
    together = np.concatenate(found)
    return together, len(together) / possible


def _mirror_permutation() -> NDArray[np.int64]:
    """Where each number stands in a mirror: columns run backwards, direction d becomes DIRECTIONS / 2 - d."""
    place = np.arange(WIDTH).reshape(GRID, GRID, DIRECTIONS)
    turned = (DIRECTIONS // 2 - np.arange(DIRECTIONS)) % DIRECTIONS
    return place[:, ::-1][:, :, turned].ravel()


# patches[:, MIRROR] are the patches of the mirrored picture, in another order. It is its own inverse.
MIRROR = _mirror_permutation()


def _cells(grey: Floats) -> Floats:
    """Mean edge strength per cell and direction, shared between the two nearest directions.

    Shapes: [H, W], multiples of CELL_PX -> [H / CELL_PX, W / CELL_PX, 8].
    """
    import cv2

    strength, angle = cv2.cartToPolar(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    turn = angle.ravel() * np.float32(DIRECTIONS / (2 * np.pi))
    low = turn.astype(np.int64)
    share = (turn - low) * strength.ravel()
    rows, columns = grey.shape[0] // CELL_PX, grey.shape[1] // CELL_PX
    y, x = np.arange(grey.shape[0]) // CELL_PX, np.arange(grey.shape[1]) // CELL_PX
    cell = (y[:, None] * columns + x).ravel() * DIRECTIONS
    size = rows * columns * DIRECTIONS
    sums = np.bincount(cell + low % DIRECTIONS, strength.ravel() - share, size)
    sums += np.bincount(cell + (low + 1) % DIRECTIONS, share, size)
    return np.asarray(sums.reshape(rows, columns, DIRECTIONS) / CELL_PX**2, np.float32)


def _patches(cells: Floats) -> Floats:
    """Every window of GRID x GRID cells. Shapes: [rows, columns, 8] -> [n, 128]."""
    windows = np.lib.stride_tricks.sliding_window_view(cells, (GRID, GRID), axis=(0, 1))
    return np.ascontiguousarray(windows.transpose(0, 1, 3, 4, 2)).reshape(-1, WIDTH)
