"""k-NN on labelled images while a run goes on: the images are decoded once and held."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import cast

import torch
from torch import nn

from trainer.evaluate.eval_images import EvalTransform, image_batches
from trainer.evaluate.features import FeatureTable, ImageStock, class_token, extract
from trainer.evaluate.knn import knn_accuracy
from trainer.evaluate.labelled_images import LabelledImages
from trainer.export.model_folder import Backbone


@dataclass(frozen=True)
class ProbeSettings:
    """Neighbours that vote, images per forward pass, device and autocast dtype."""

    k: int = 20
    batch_size: int = 64
    device: torch.device | str = "cpu"
    dtype: torch.dtype | None = None


def knn_probe(
    train: LabelledImages, test: LabelledImages, transform: EvalTransform, settings: ProbeSettings
) -> Callable[[nn.Module], Mapping[str, float]]:
    """A probe for the training loop: backbone -> {"knn_accuracy": share of test images whose class is voted}.

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
        scores = knn_accuracy((bank.features, bank.labels), (queries.features, queries.labels), [settings.k])
        return {"knn_accuracy": next(iter(scores.values())).top1}

    return probe


def _embedded(backbone: nn.Module, stock: ImageStock, settings: ProbeSettings) -> FeatureTable:
    return extract(
        stock.batches, stock.transform, class_token(cast(Backbone, backbone)), settings.device, settings.dtype
    )
