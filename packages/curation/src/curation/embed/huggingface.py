"""Any Hugging Face vision model, from a folder or the hub; also the export/ folder of our trainer.

The vector is the model's image feature where it has one (CLIP, SigLIP), the class token of a transformer
(DINOv2, DINOv3, ViT), else the mean over positions.
"""

from __future__ import annotations

from typing import Any

from curation.embed.config import EmbedConfig
from curation.embed.huggingface_files import cannot_load, input_rule, load_transformers, weights_identity
from curation.embed.neural_embedder import NeuralEmbedder


class HuggingFaceEmbedder(NeuralEmbedder):
    """Errors: MissingInput where the spec cannot be loaded."""

    def __init__(self, spec: str, settings: EmbedConfig) -> None:
        model = _load_model(spec)
        rule = input_rule(spec, model.config, settings)
        super().__init__(spec, model, rule, weights_identity(spec, model.config), settings)

    def features(self, pixels: Any) -> Any:
        """Torch tensors. Shapes: [B, 3, H, W] -> [B, D]."""
        return _features(self._model, pixels)


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
