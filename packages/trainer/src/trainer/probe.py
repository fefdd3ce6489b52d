"""k-NN accuracy on labelled images, as the loop asks for it while a run goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from contracts.errors import ConfigError
from trainer.config.run import ProbeSection
from trainer.data.augment.settings import AugmentationSettings
from trainer.data.loader import per_channel
from trainer.data.open_source import open_source
from trainer.data.sources.source import ImageSource
from trainer.engine.loop import Probe
from trainer.evaluate.eval_images import EvalTransform, image_batches
from trainer.evaluate.features import Embed, ImageStock, class_token, extract
from trainer.evaluate.knn import knn_accuracy
from trainer.models.vision_transformer import VisionTransformer


def build_probe(settings: ProbeSection, crops: AugmentationSettings, device: torch.device) -> Probe | None:
    """The probe that the settings ask for, or None; its images are decoded once and held as bytes.

    Errors: MissingInput (no such images), ConfigError (no labels).
    """
    if settings.data is None:
        return None
    mean, std = per_channel(crops.mean, crops.channels), per_channel(crops.std, crops.channels)
    transform = EvalTransform(settings.image_px or crops.global_px, mean, std)
    stocks = [
        ImageStock.of(image_batches(source, transform, indices, settings.batch_size), transform)
        for source, indices in _voters_and_asked(settings)
    ]

    def probe(backbone: nn.Module) -> Mapping[str, float]:
        backbone.eval()
        embed = class_token(cast(VisionTransformer, backbone))
        voters, asked = (_features(stock, embed, device) for stock in stocks)
        return {"knn_accuracy": knn_accuracy(voters, asked, ks=[settings.k]).popitem()[1].top1}

    return probe


def _features(stock: ImageStock, embed: Embed, device: torch.device) -> tuple[Tensor, Tensor]:
    table = extract(stock.batches, stock.transform, embed, device)
    return table.features, table.labels


def _voters_and_asked(settings: ProbeSection) -> list[tuple[ImageSource, np.ndarray]]:
    """Images that vote and images that are asked: two sources, or two halves of one, drawn with a fixed seed."""
    assert settings.data is not None
    voters = _labelled(settings.data, "probe.data")
    order = np.random.default_rng(0).permutation(len(voters))
    if settings.test is None:
        half = min(len(voters) // 2, settings.max_images)
        return [(voters, np.sort(order[:half])), (voters, np.sort(order[half : 2 * half]))]
    asked = _labelled(settings.test, "probe.test")
    asked_order = np.random.default_rng(0).permutation(len(asked))
    most = settings.max_images
    return [(voters, np.sort(order[:most])), (asked, np.sort(asked_order[:most]))]


def _labelled(path: str, name: str) -> ImageSource:
    source = open_source(path)
    if source.class_names is None:
        raise ConfigError(
            f"{name} {path} has no labels, which k-NN needs: use a folder with one subfolder per class, a parquet file "
            "with a label column, or a .txt list with labels"
        )
    if len(source) < 4:
        raise ConfigError(f"{name} {path} has {len(source)} images where at least 4 are needed")
    return source
