"""The offline copy descriptor: low frequencies of the grey picture, comparable under mirroring. No download, no torch.

Structure: the picture is reduced to a small grey square; its low-frequency DCT coefficients are compressed by a power,
so that one strong coefficient (a bright sky) does not decide alone; with power 0 they would be the sign pattern of a
perceptual hash. Coefficients of odd horizontal frequency change sign when the picture is mirrored; they stand last
(see `curation.index.mirror_cosine`).

Colour: all smooth gradients of one direction have the same structure. The fewer coefficients carry a picture, the
more of the vector's length goes to its colours, so that such pictures are copies only when their colours agree too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SIDE_PX = 64
FREQUENCIES = 16
POWER = 0.15
# Number of coefficients that carry a picture at which structure and colour share the vector equally; photographs
# have 11 to 125.
FEW_COEFFICIENTS = 6.0
# Colours: random Fourier features of a Gaussian kernel over quantiles of the channels, 0 to 255.
COLOUR_WAVES = 64
COLOUR_WIDTH = 16.0
QUANTILES = (0.02, 0.25, 0.5, 0.75, 0.98)

Floats = NDArray[np.float32]


def dct_rows(samples: int, frequencies: int) -> Floats:
    """The first rows of the DCT-II matrix; row 0 is not scaled down. Shapes: [frequencies, samples]."""
    position = (2 * np.arange(samples) + 1) * np.pi / (2 * samples)
    rows = np.cos(np.arange(frequencies)[:, None] * position[None, :]) * np.sqrt(2 / samples)
    return np.asarray(rows, np.float32)


class CopyDescriptor:
    """Finds copies through re-encoding, resizing, colour changes, small overlays and mirroring."""

    name = "descriptor"
    version = "1"
    default_threshold: float | None = 0.6
    default_against_threshold: float | None = 0.5
    max_side_px: int | None = 512

    def __init__(self) -> None:
        self._dct = dct_rows(SIDE_PX, FREQUENCIES)
        vertical, horizontal = np.mgrid[0:FREQUENCIES, 0:FREQUENCIES]
        used = vertical + horizontal > 0
        odd = horizontal % 2 == 1
        self._even_at = np.flatnonzero(used & ~odd)
        self._odd_at = np.flatnonzero(used & odd)
        waves = np.random.Generator(np.random.PCG64(20)).standard_normal((COLOUR_WAVES, 3 * len(QUANTILES)))
        # The kernel sees the root mean square of the differences, whatever the number of quantiles.
        self._waves = (waves / (COLOUR_WIDTH * np.sqrt(3 * len(QUANTILES)))).astype(np.float32)
        self.odd_dims = len(self._odd_at)
        self.dim = 2 * COLOUR_WAVES + len(self._even_at) + self.odd_dims

    def embed_images(self, images: Sequence[NDArray[np.uint8]]) -> Floats:
        """Shapes: uint8 [H, W, 3] each -> float32 [len(images), dim], rows of length 1."""
        out = np.empty((len(images), self.dim), np.float32)
        for row, image in enumerate(images):
            out[row] = self._describe(image)
        return out

    def _describe(self, image: NDArray[np.uint8]) -> Floats:
        """Colour first, then even, then odd structure."""
        import cv2

        small = np.asarray(cv2.resize(image, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA), np.uint8)
        grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
        coefficients = (self._dct @ grey @ self._dct.T).ravel()
        structure = np.concatenate([coefficients[self._even_at], coefficients[self._odd_at]])
        # Rounding of a picture of one colour leaves less than a grey level per coefficient.
        structure[np.abs(structure) < 1] = 0
        colour_share = _colour_share(structure)
        compressed = np.sign(structure) * np.abs(structure) ** np.float32(POWER)
        compressed /= max(float(np.linalg.norm(compressed)), 1e-12)
        parts = [colour_share**0.5 * self._colour(small), (1 - colour_share) ** 0.5 * compressed]
        return np.concatenate(parts).astype(np.float32)

    def _colour(self, small: NDArray[np.uint8]) -> Floats:
        """Unit vector whose cosine falls with the distance of the colour quantiles. Shapes: [2 * COLOUR_WAVES]."""
        ordered = np.sort(small.reshape(-1, 3), axis=0)
        at = [round(q * (len(ordered) - 1)) for q in QUANTILES]
        phase = self._waves @ ordered[at].astype(np.float32).ravel()
        return np.asarray(np.concatenate([np.cos(phase), np.sin(phase)]) / COLOUR_WAVES**0.5, np.float32)


def _colour_share(structure: Floats) -> float:
    """Part of the squared length that goes to colour: 1 without structure, 1/2 at FEW_COEFFICIENTS carriers.

    Carriers: the participation number (sum |c|)^2 / sum c^2 of the coefficients.
    """
    sizes = np.abs(structure).astype(np.float64)
    energy = float((sizes**2).sum())
    carriers = float(sizes.sum()) ** 2 / energy if energy > 0 else 0.0
    return FEW_COEFFICIENTS**2 / (carriers**2 + FEW_COEFFICIENTS**2)
