"""k-NN and linear probe on labelled images while a run goes on: the images are decoded once and held."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import cast

import torch
from torch import nn

from trainer.evaluate.eval_images import EvalTransform, image_batches
from trainer.evaluate.features import FeatureTable, ImageStock, class_token, extract, last_blocks
from trainer.evaluate.knn import knn_accuracy
from trainer.evaluate.labelled_images import LabelledImages
from trainer.evaluate.linear import BLOCKS, LinearSettings, linear_accuracy
from trainer.export.model_folder import Backbone


@dataclass(frozen=True)
class ProbeSettings:
    """Neighbours that vote, images per forward pass, device, autocast dtype, steps of the linear probe (0: none)."""

    k: int = 20
    batch_size: int = 64
    device: torch.device | str = "cpu"
    dtype: torch.dtype | None = None
    linear_steps: int = 0


def labelled_probe(
    train: LabelledImages, test: LabelledImages, transform: EvalTransform, settings: ProbeSettings
) -> Callable[[nn.Module], Mapping[str, float]]:
    """A probe for the training loop: backbone -> knn_accuracy, share of test images whose class is voted.

    With `linear_steps` also linear_accuracy, that of the best head of the published grid (evaluate/linear.py).
    Images are decoded at the first call and kept as uint8.
    """

    @cache
    def stocks() -> list[ImageStock]:
        return [
            ImageStock.of(image_batches(part.source, transform, part.indices, settings.batch_size), transform)
            for part in (train, test)
        ]

    def probe(backbone: nn.Module) -> Mapping[str, float]:
        backbone.eval()
        bank, queries = (_embedded(backbone, stock, settings) for stock in stocks())
        numbers = {}
        if settings.linear_steps:
            linear = linear_accuracy(bank, queries, LinearSettings(steps=settings.linear_steps))
            numbers["linear_accuracy"] = linear.top1
            bank, queries = (replace(part, features=part.features[:, -2]) for part in (bank, queries))
        scores = knn_accuracy((bank.features, bank.labels), (queries.features, queries.labels), [settings.k])
        return {"knn_accuracy": next(iter(scores.values())).top1, **numbers}

    return probe


def _embedded(backbone: nn.Module, stock: ImageStock, settings: ProbeSettings) -> FeatureTable:
    """Class tokens [M, D], or the stack of the linear probe [M, blocks + 1, D], whose last but one is the same."""
    model = cast(Backbone, backbone)
    blocks = min(max(BLOCKS), model.depth) if settings.linear_steps else 0
    embed = last_blocks(model, blocks) if blocks else class_token(model)
    return extract(stock.batches, stock.transform, embed, settings.device, settings.dtype)
