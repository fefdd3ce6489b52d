"""A picture as its patches' deviations from a small vocabulary: what is in it, wherever it is.

Source: VLAD (Jegou et al. 2010) with signed square roots and normalisation per word (Arandjelovic and Zisserman 2013).
Differs: the patches of the mirrored picture are added, so that the vector is the same for both.

Dimensions: n patches, P projected width, K words.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from curation.embed.dense_patches import MIRROR

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class PatchVocabulary:
    """Shapes: mean [128], projection [128, P], words [K, P]."""

    mean: Floats
    projection: Floats
    words: Floats

    @property
    def width(self) -> int:
        """Length of the vectors: K * P."""
        return int(self.words.size)

    @cached_property
    def _both(self) -> tuple[Floats, Floats]:
        """Projection of a patch and of its mirror image side by side, and of the mean. Shapes: [128, 2 P], [P]."""
        # MIRROR is its own inverse, so rows of the projection are turned instead of columns of the patches.
        return np.concatenate([self.projection, self.projection[MIRROR]], axis=1), self.mean @ self.projection

    def describe(self, patches: Floats) -> Floats:
        """A vector of length 1 (zeros without patches). Shapes: [n, 128] -> [K * P]."""
        if len(patches) == 0:
            return np.zeros(self.width, np.float32)
        projection, middle = self._both
        points = (patches @ projection).reshape(2 * len(patches), -1) - middle
        distance = (self.words**2).sum(axis=1) - 2 * points @ self.words.T
        chosen = np.zeros(distance.shape, np.float32)
        chosen[np.arange(len(points)), distance.argmin(axis=1)] = 1
        sums = chosen.T @ points - chosen.sum(axis=0)[:, None] * self.words
        roots = np.sign(sums) * np.sqrt(np.abs(sums))
        roots /= np.maximum(np.linalg.norm(roots, axis=1, keepdims=True), 1e-9)
        flat = roots.ravel()
        return np.asarray(flat / max(float(np.linalg.norm(flat)), 1e-9), np.float32)
