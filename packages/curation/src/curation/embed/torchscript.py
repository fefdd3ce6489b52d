"""Any TorchScript file that maps images to vectors, with the preprocessing of SSCD.

Source: Pizzi et al. 2022 (arXiv 2202.10261); the released `sscd_disc_mixup.torchscript.pt` is the usual file.
The default input is the 320 px square that SSCD's authors recommend for batches (`resize: short-side` gives 288).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.errors import BrokenArtifact
from contracts.publish import sha256_file
from curation.embed.config import EmbedConfig
from curation.embed.neural_input import InputRule, shape_groups
from curation.embed.torch_device import device_of, dtype_of, load_torch, use_threads
from curation.index.mirror_cosine import unit_rows

SQUARE_PX, SHORT_SIDE_PX = 320, 288


class TorchScriptEmbedder:
    """Thresholds are those of DINOv2 (section 3) for SSCD: 0.6 for the same picture, 0.45 against references."""

    odd_dims = 0
    max_side_px: int | None = None
    default_threshold: float | None = 0.6
    default_against_threshold: float | None = 0.45

    def __init__(self, file: Path, settings: EmbedConfig) -> None:
        torch = load_torch()
        use_threads(settings)
        self.name = file.stem
        self._device, self._dtype = device_of(settings), dtype_of(settings)
        short = settings.resize == "short-side"
        side = settings.image_px or (SHORT_SIDE_PX if short else SQUARE_PX)
        self._rule = InputRule("short-side" if short else "square", side)
        try:
            self._model: Any = torch.jit.load(str(file), map_location=self._device).eval().to(self._dtype)
        except (RuntimeError, ValueError) as error:
            detail = str(error).splitlines()[0]
            raise BrokenArtifact(f"{file} is no TorchScript file that this torch can load ({detail})") from None
        self.version = f"sha256 {sha256_file(file)[:16]}, {self._rule.describe()}, {settings.precision}"
        self.dim = int(self._forward(np.zeros((1, 3, side, side), np.float32)).shape[1])

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
            out[positions] = self._forward(np.stack([inputs[p] for p in positions]))
        return unit_rows(out)

    def _forward(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        torch = load_torch()
        with torch.inference_mode():
            result = self._model(torch.from_numpy(batch).to(self._device, self._dtype))
        vectors: NDArray[np.float32] = result.flatten(1).float().cpu().numpy()
        return vectors
