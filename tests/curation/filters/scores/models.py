"""Tiny models with random weights, saved as their libraries save them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

SIDE_PX = 16


def save_classifier(folder: Path, labels: dict[int, str], *, problem: str | None = None) -> Path:
    """A small ViT; the last layer is scaled up so that pictures differ."""
    import torch
    import transformers

    torch.manual_seed(0)
    config = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=SIDE_PX,
        patch_size=8,
        id2label=labels,
        label2id={label: place for place, label in labels.items()},
        problem_type=problem,
    )
    model = transformers.ViTForImageClassification(config)
    torch.nn.init.normal_(model.classifier.weight, std=0.5)
    model.save_pretrained(folder)
    values = {"size": {"height": SIDE_PX, "width": SIDE_PX}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(values))
    return folder


def save_head(file: Path, weight: np.ndarray, bias: np.ndarray | None = None, prefix: str = "") -> Path:
    """A linear layer as safetensors."""
    from safetensors.numpy import save_file

    tensors = {f"{prefix}weight": np.asarray(weight, np.float32)}
    if bias is not None:
        tensors[f"{prefix}bias"] = np.asarray(bias, np.float32)
    save_file(tensors, file)
    return file
