"""What every embedder promises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Embedder(Protocol):
    """Turns decoded images into unit vectors whose cosine says how alike two pictures are.

    `version` says which computation and weights gave the vectors: stores of another version are made anew.
    `default_threshold` is the cosine above which two images are the same picture, `default_against_threshold`
    the one above which they may be (relative dedup drops more); None where nobody measured one.
    `odd_dims`: the last `odd_dims` coordinates change sign when the picture is mirrored, the others stay;
    0 for embedders that promise nothing. See `curation.index.mirror_cosine`.
    `max_side_px`: the decoder may give a picture reduced to no less than this longer side; None: full size.
    """

    name: str
    dim: int
    odd_dims: int
    version: str
    default_threshold: float | None
    default_against_threshold: float | None
    max_side_px: int | None

    def embed_images(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Shapes: each image uint8 [H, W, 3] RGB; result float32 [len(images), dim] with rows of length 1."""
        ...
