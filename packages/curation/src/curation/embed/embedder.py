"""What every embedder promises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

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


@runtime_checkable
class PreparingEmbedder(Protocol):
    """An embedder whose input is made ready image by image, so that threads can do it ahead of the model.

    `embed_images(images)` equals `embed_prepared([prepare(image) for image in images])`.
    """

    def prepare(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Shapes: uint8 [H, W, 3] -> float32 [3, H', W']. Any thread may call it."""
        ...

    def embed_prepared(self, inputs: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Shapes: float32 [3, H', W'] each -> float32 [len(inputs), dim] with rows of length 1."""
        ...
