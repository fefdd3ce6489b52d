"""Any Hugging Face vision model, from a folder or the hub; also the export/ folder of our trainer.

The vector is the model's image feature where it has one (CLIP, SigLIP), the class token of a transformer
(DINOv2, DINOv3, ViT), else the mean over positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.embed.config import EmbedConfig
from curation.embed.huggingface_files import cannot_load, input_rule, load_transformers, weights_identity
from curation.embed.neural_input import shape_groups
from curation.embed.torch_device import device_of, dtype_of, load_torch, use_threads
from curation.index.mirror_cosine import unit_rows


class HuggingFaceEmbedder:
    """No thresholds: nobody measured them for an arbitrary model, so dedup asks for one."""

    odd_dims = 0
    max_side_px: int | None = None
    default_threshold: float | None = None
    default_against_threshold: float | None = None

    def __init__(self, spec: str, settings: EmbedConfig) -> None:
        use_threads(settings)
        self.name = spec
        self._device, self._dtype = device_of(settings), dtype_of(settings)
        self._model = _load_model(spec).to(self._device, self._dtype).eval()
        self._rule = input_rule(spec, self._model.config, settings)
        origin = weights_identity(spec, self._model.config)
        self.version = f"{origin}, {self._rule.describe()}, {settings.precision}"
        side = self._rule.crop_px or self._rule.side_px
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
        pixels = torch.from_numpy(batch).to(self._device, self._dtype)
        with torch.inference_mode():
            features = _features(self._model, pixels)
        vectors: NDArray[np.float32] = features.float().cpu().numpy()
        return vectors


def _load_model(spec: str) -> Any:
    try:
        return load_transformers(spec).AutoModel.from_pretrained(spec)
    except (OSError, ValueError, KeyError) as error:
        raise cannot_load(spec, error) from None


def _features(model: Any, pixels: Any) -> Any:
    if hasattr(model, "get_image_features"):
        found = model.get_image_features(pixel_values=pixels)
        return getattr(found, "pooler_output", found)
    hidden = model(pixel_values=pixels).last_hidden_state
    if hidden.ndim == 4:
        return hidden.mean(dim=(2, 3))
    embeddings = getattr(model, "embeddings", None)
    return hidden[:, 0] if hasattr(embeddings, "cls_token") else hidden.mean(dim=1)
