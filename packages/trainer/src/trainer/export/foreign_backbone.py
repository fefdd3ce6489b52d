"""Backbones of other families (DINOv3, ViT, I-JEPA, ...) through transformers, with the interface of ours.

Dimensions: B images, N patches, R register tokens, D width.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from contracts.errors import BrokenArtifact, MissingInput
from trainer.models.vision_transformer import Features


class ForeignBackbone(nn.Module):
    """A Hugging Face vision transformer; a model without a class token gives the mean patch as class token."""

    def __init__(self, model: nn.Module, config: Any) -> None:
        super().__init__()
        self.model = model
        try:
            self.embed_dim, self.depth = int(config.hidden_size), int(config.num_hidden_layers)
            self.patch_size = _side(config.patch_size)
            self.image_size = _side(getattr(config, "image_size", 224))
        except (AttributeError, TypeError, ValueError) as error:
            raise BrokenArtifact(
                f"a model of type {config.model_type!r} is no vision transformer that can be used here ({error}): "
                "wanted one with hidden_size and patch_size"
            ) from None
        self.in_channels = int(getattr(config, "num_channels", 3))
        self.num_register_tokens = int(getattr(config, "num_register_tokens", 0))

    def forward(self, images: Tensor) -> Features:
        """Tokens after the model's last norm. Shapes: images [B, C, H, W]."""
        out = self.model(pixel_values=images, **self._any_size(images))
        return self._features(out.last_hidden_state, images)

    def intermediate(self, images: Tensor, blocks: Sequence[int]) -> list[Features]:
        """Outputs of the given blocks (negative from the end), as the model hands them out; the last one normed."""
        out = self.model(pixel_values=images, output_hidden_states=True, **self._any_size(images))
        states = list(out.hidden_states[1:])
        states[-1] = out.last_hidden_state
        return [self._features(states[index], images) for index in blocks]

    def _any_size(self, images: Tensor) -> dict[str, bool]:
        """Models with a fixed position table have to be asked to resample it."""
        native = images.shape[-2:] == (self.image_size, self.image_size)
        known = "interpolate_pos_encoding" in inspect.signature(self.model.forward).parameters
        return {"interpolate_pos_encoding": True} if known and not native else {}

    def _features(self, tokens: Tensor, images: Tensor) -> Features:
        patches = math.prod(side // self.patch_size for side in images.shape[-2:])
        prefix = tokens.shape[1] - patches
        if prefix < 0:
            raise BrokenArtifact(f"the model gave {tokens.shape[1]} tokens for {patches} patches: it is not supported")
        body = tokens[:, prefix:]
        cls = tokens[:, 0] if prefix else body.mean(1)
        return Features(cls=cls, registers=tokens[:, min(prefix, 1) : prefix], patches=body, prenorm=tokens)


def open_foreign(folder: Path) -> ForeignBackbone:
    """A model folder of any architecture that transformers knows.

    Errors: MissingInput (transformers is not installed), BrokenArtifact (it cannot open the folder).
    """
    try:
        from transformers import AutoModel
    except ImportError:
        raise MissingInput(
            f"{folder} is not a Dinov2 model, so opening it needs the transformers package: "
            'pip install "winnow-trainer[transformers]"'
        ) from None
    try:
        model = AutoModel.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        text = " ".join(str(error).split())[:200]
        raise BrokenArtifact(f"transformers cannot open {folder}: {text}") from None
    config = model.config
    vision = getattr(model, "vision_model", None)
    if vision is not None and hasattr(config, "vision_config"):
        return ForeignBackbone(vision, config.vision_config)
    return ForeignBackbone(model, config)


def _side(value: Any) -> int:
    return int(value[0]) if isinstance(value, list | tuple) else int(value)
