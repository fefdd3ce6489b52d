"""The offline copy descriptor: four views of a picture, comparable under mirroring. No download, no torch.

Four views of a picture:

| part | finds | cannot tell apart |
|---|---|---|
| low frequencies | re-encoding, resizing, colour changes, overlays, mirroring | smooth gradients of one direction |
| patches | also crops, borders, small rotations | pages of text, empty pictures |
| fine detail | pages of one layout | anything after a crop |
| plain look (colours, blurred layout) | re-encoding, resizing | pictures that differ in detail alone |

The first three go through projections that were trained to keep what survives edits and to lose what different pictures
share (linear discriminants; `benchmarks/descriptor_training`, on procedural pictures only). The emptier a picture, the
more of the vector's length goes to its plain look, so that gradients, icons and shapes on white are copies only when
that agrees too. Coordinates that change sign in a mirror stand last (`curation.index.mirror_cosine`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from curation.embed.dense_patches import dense_patches, reduced
from curation.embed.fine_detail import fine_detail
from curation.embed.low_frequencies import EVEN_AT, SIDE_PX, carriers, compressed, low_frequencies
from curation.embed.patch_words import PatchVocabulary
from curation.embed.plain_look import WAVES, plain_look

WEIGHTS = Path(__file__).with_name("copy_descriptor.npz")
# Where structure and plain look share the vector: this many carrying coefficients; this share of patches with an edge.
FEW_CARRIERS = 4.0
FEW_PATCHES = 0.25

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class RawView:
    """A picture before projection. Shapes: even [127 + K * P + 128], odd [128], look [2 * WAVES]."""

    even: Floats
    odd: Floats
    look: Floats
    look_share: float


def raw_view(image: NDArray[np.uint8], vocabulary: PatchVocabulary) -> RawView:
    """What is projected. Shapes: uint8 [H, W, 3]."""
    import cv2

    picture = reduced(image)
    small = np.asarray(cv2.resize(picture, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA), np.uint8)
    frequencies = low_frequencies(small)
    patches, patch_share = dense_patches(picture)
    structure = compressed(frequencies)
    even, odd = structure[: len(EVEN_AT)], structure[len(EVEN_AT) :]
    return RawView(
        np.concatenate([even, vocabulary.describe(patches), fine_detail(picture)]),
        odd,
        plain_look(small),
        look_share(carriers(frequencies), patch_share),
    )


def look_share(carrying: float, patch_share: float) -> float:
    """Part of the vector's squared length that goes to the plain look, from 0 (a rich picture) to 1 (one colour)."""
    structured = carrying**2 / (carrying**2 + FEW_CARRIERS**2)
    filled = patch_share**4 / (patch_share**4 + FEW_PATCHES**4)
    return 1 - structured * filled


class CopyDescriptor:
    """Finds copies through re-encoding, resizing, colour changes, overlays, mirroring, moderate crops and borders."""

    name = "descriptor"
    version = "3"
    default_threshold: float | None = 0.63
    default_against_threshold: float | None = 0.5
    max_side_px: int | None = 192

    def __init__(self) -> None:
        with np.load(WEIGHTS, allow_pickle=False) as weights:
            arrays = {name: weights[name].astype(np.float32) for name in weights.files}
        self._vocabulary = PatchVocabulary(arrays["patch_mean"], arrays["patch_projection"], arrays["words"])
        self._even_mean = arrays["even_mean"]
        self._even, self._odd = arrays["even_projection"], arrays["odd_projection"]
        self.odd_dims = self._odd.shape[1]
        self.dim = 2 * WAVES + self._even.shape[1] + self.odd_dims

    def embed_images(self, images: Sequence[NDArray[np.uint8]]) -> Floats:
        """Shapes: uint8 [H, W, 3] each -> float32 [len(images), dim], rows of length 1."""
        out = np.empty((len(images), self.dim), np.float32)
        for row, image in enumerate(images):
            out[row] = self._describe(image)
        return out

    def _describe(self, image: NDArray[np.uint8]) -> Floats:
        """Plain look, then even, then odd structure."""
        view = raw_view(image, self._vocabulary)
        structure = np.concatenate([(view.even - self._even_mean) @ self._even, view.odd @ self._odd])
        structure /= max(float(np.linalg.norm(structure)), 1e-12)
        parts = [view.look_share**0.5 * view.look, (1 - view.look_share) ** 0.5 * structure]
        return np.concatenate(parts).astype(np.float32)
