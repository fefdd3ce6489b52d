"""The 64-bit perceptual hash of the catalogue as an embedder: its bits as signs, so that cosine = 1 - 2 * bits / 64.

`bits` is the number of bits in which two hashes differ (the Hamming distance).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from curation.ingest.phash import phash

BITS = 64


def cosine_of(bits: float) -> float:
    """Cosine of two hashes that differ in this many bits."""
    return 1 - 2 * bits / BITS


class PerceptualHash:
    """Finds re-encodings and resizings; crops, overlays and mirrored copies are not found."""

    name = "phash"
    version = "1"
    # Halfway between whole numbers of bits, so that no rounding decides.
    default_threshold: float | None = cosine_of(4.5)
    default_against_threshold: float | None = cosine_of(8.5)
    max_side_px: int | None = 256
    odd_dims = 0
    dim = BITS

    def embed_images(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Shapes: uint8 [H, W, 3] each -> float32 [len(images), 64]."""
        hashes = np.array([phash(image) for image in images], "<u8")
        bits = np.unpackbits(hashes.view(np.uint8).reshape(len(images), 8), axis=1, bitorder="little")
        return np.where(bits == 1, np.float32(BITS**-0.5), np.float32(-(BITS**-0.5)))
