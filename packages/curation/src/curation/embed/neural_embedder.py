"""What all neural embedders share: input made ready image by image, batches of one shape, rows of length 1.

Dimensions: B images, D width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.embed.config import EmbedConfig
from curation.embed.neural_input import InputRule, shape_groups
from curation.embed.torch_device import device_of, dtype_of, load_torch, use_threads
from curation.index.mirror_cosine import unit_rows


class NeuralEmbedder(ABC):
    """A PreparingEmbedder around a torch model. No thresholds unless somebody measured them for the model."""

    odd_dims = 0
    max_side_px: int | None = None
    default_threshold: float | None = None
    default_against_threshold: float | None = None

    def __init__(self, name: str, model: Any, rule: InputRule, origin: str, settings: EmbedConfig) -> None:
        use_threads(settings)
        self.name = name
        self._device, self._dtype, self._rule = device_of(settings), dtype_of(settings), rule
        self._model = model.to(self._device).to(self._dtype).eval()
        self.version = f"{origin}, {rule.describe()}, {settings.precision}"
        side = rule.crop_px or rule.side_px
        self.dim = int(self._vectors(np.zeros((1, 3, side, side), np.float32)).shape[1])

    @abstractmethod
    def features(self, pixels: Any) -> Any:
        """Torch tensors. Shapes: [B, 3, H, W] -> [B, D]."""

    def embed_images(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Shapes: uint8 [H, W, 3] each -> float32 [len(images), dim], rows of length 1."""
        return self.embed_prepared([self.prepare(image) for image in images])

    def prepare(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Shapes: uint8 [H, W, 3] -> float32 [3, H', W']."""
        return self._rule.prepare(image)

    def embed_prepared(self, inputs: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Shapes: float32 [3, H', W'] each -> float32 [len(inputs), dim], rows of length 1."""
        out = np.empty((len(inputs), self.dim), np.float32)
        for positions in shape_groups(inputs).values():
            out[positions] = self._vectors(np.stack([inputs[p] for p in positions]))
        return unit_rows(out)

    def _vectors(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        torch = load_torch()
        with torch.inference_mode():
            found = self.features(torch.from_numpy(batch).to(self._device, self._dtype))
        vectors: NDArray[np.float32] = found.float().cpu().numpy()
        return vectors
