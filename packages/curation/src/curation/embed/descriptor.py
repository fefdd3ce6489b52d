"""The offline copy descriptor: signs and sizes of low frequencies, comparable under mirroring. No download, no torch.

The picture is reduced to a small grey square, its low-frequency DCT coefficients are compressed by a power, and the
vector is scaled to length 1. Compressing keeps one strong coefficient (a bright sky) from deciding alone; with power 0
it would be the sign pattern of a perceptual hash. Coefficients of odd horizontal frequency change sign when the
picture is mirrored; they stand last (see `curation.index.mirror_cosine`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SIDE_PX = 64
FREQUENCIES = 16
POWER = 0.25


def dct_rows(samples: int, frequencies: int) -> NDArray[np.float32]:
    """The first rows of the orthogonal DCT-II matrix (row 0 without its own scale). Shapes: [frequencies, samples]."""
    position = (2 * np.arange(samples) + 1) * np.pi / (2 * samples)
    rows = np.cos(np.arange(frequencies)[:, None] * position[None, :]) * np.sqrt(2 / samples)
    return np.asarray(rows, np.float32)


class CopyDescriptor:
    """Finds copies through re-encoding, resizing, colour changes, small overlays and mirroring."""

    name = "descriptor"
    version = "1"
    default_threshold: float | None = 0.65
    default_against_threshold: float | None = 0.5
    max_side_px: int | None = 512

    def __init__(self) -> None:
        self._dct = dct_rows(SIDE_PX, FREQUENCIES)
        vertical, horizontal = np.mgrid[0:FREQUENCIES, 0:FREQUENCIES]
        used = vertical + horizontal > 0
        odd = horizontal % 2 == 1
        self._even_at = np.flatnonzero(used & ~odd)
        self._odd_at = np.flatnonzero(used & odd)
        self.dim = len(self._even_at) + len(self._odd_at)
        self.odd_dims = len(self._odd_at)

    def embed_images(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Shapes: uint8 [H, W, 3] each -> float32 [len(images), dim], rows of length 1."""
        out = np.empty((len(images), self.dim), np.float32)
        for row, image in enumerate(images):
            out[row] = self._describe(image)
        return out

    def _describe(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        import cv2

        small = cv2.resize(image, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
        grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
        coefficients = (self._dct @ grey @ self._dct.T).ravel()
        vector = np.concatenate([coefficients[self._even_at], coefficients[self._odd_at]])
        vector = np.sign(vector) * np.abs(vector) ** np.float32(POWER)
        length = float(np.linalg.norm(vector))
        return vector / np.float32(length) if length > 1e-6 else _one_colour(small, self.dim)


def _one_colour(small: NDArray[np.uint8], dim: int) -> NDArray[np.float32]:
    """A unit vector that depends on the colour alone: pictures of one colour are copies only of the same colour."""
    colour = small.reshape(-1, 3).mean(axis=0).round().astype(np.uint64)
    seed = int(colour[0] << np.uint64(16) | colour[1] << np.uint64(8) | colour[2])
    vector = np.random.default_rng(seed).standard_normal(dim)
    return (vector / np.linalg.norm(vector)).astype(np.float32)
