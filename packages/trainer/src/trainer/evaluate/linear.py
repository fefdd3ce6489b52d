"""Linear probes: the published grid of learning rates, numbers of blocks and pooling, trained jointly.

Dimensions: M images, D width, H heads of one input kind (one per learning rate), C classes.
Source: DINOv2 (arXiv 2304.07193), appendix B.3; the released evaluation.
Differs: features are computed once without augmentation, so that the 52 heads cost minutes on a CPU; and the head is
chosen on a held-out part of the training set, not on the test set (the optimistic number is reported beside it).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from contracts.errors import MissingInput
from trainer.evaluate.features import FeatureTable

LEARNING_RATES = (1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1)
"""For 256 images per step."""
BLOCKS = (1, 4)
POOLING = (False, True)


@dataclass(frozen=True)
class LinearSettings:
    """Optimiser steps, images per step, seed, and the share of the training set that chooses the head."""

    steps: int = 1000
    batch_size: int = 128
    seed: int = 0
    held_out: float = 0.1


@dataclass(frozen=True)
class LinearScore:
    """Test accuracy of the chosen head, which head it is, and the best test accuracy of any head."""

    top1: float
    lr: float
    blocks: int
    mean_patch: bool
    best_on_test: float


def linear_accuracy(train: FeatureTable, test: FeatureTable, settings: LinearSettings) -> LinearScore:
    """Train all heads on `train` and score them on `test`.

    Shapes: features [M, 4 + 1, D] as features.last_blocks gives them. Errors: MissingInput without labels.
    """
    if bool((train.labels < 0).any()) or bool((test.labels < 0).any()):
        raise MissingInput("a linear probe needs a class for every image: use class folders or labels")
    C = int(torch.cat([train.labels, test.labels]).max()) + 1
    order = torch.randperm(len(train.labels), generator=torch.Generator().manual_seed(settings.seed))
    held = max(round(settings.held_out * len(order)), 1)
    choosing, training = train.part(order[:held]), train.part(order[held:] if len(order) > held else order)
    grid = [(blocks, pooled) for blocks in BLOCKS for pooled in POOLING]
    chosen, tested = [], []
    for blocks, pooled in grid:
        heads = _train_heads(probe_input(training.features, blocks, pooled), training.labels, C, settings)
        chosen.append(_accuracies(heads, probe_input(choosing.features, blocks, pooled), choosing.labels))
        tested.append(_accuracies(heads, probe_input(test.features, blocks, pooled), test.labels))
    best = int(torch.stack(chosen).flatten().argmax())
    kind, lr = divmod(best, len(LEARNING_RATES))
    scores = torch.stack(tested)
    blocks, pooled = grid[kind]
    return LinearScore(float(scores[kind, lr]), LEARNING_RATES[lr], blocks, pooled, float(scores.max()))


def probe_input(features: Tensor, blocks: int, mean_patch: bool) -> Tensor:
    """Class tokens of the last `blocks` blocks, then the mean patch where asked. Shapes: [M, n + 1, D] -> [M, ...]."""
    cls = features[:, -1 - blocks : -1].flatten(1)
    return torch.cat([cls, features[:, -1]], dim=1) if mean_patch else cls


@dataclass
class _Heads:
    """H linear classifiers with their momenta. Shapes: weight [H, C, D], bias [H, C]."""

    weight: Tensor
    bias: Tensor

    def logits(self, x: Tensor) -> Tensor:
        """Shapes: [M, D] -> [H, M, C]."""
        return torch.einsum("md,hcd->hmc", x, self.weight) + self.bias[:, None]


def _train_heads(x: Tensor, labels: Tensor, classes: int, settings: LinearSettings) -> _Heads:
    """SGD with momentum 0.9, no weight decay, cosine to 0; one learning rate per head."""
    generator = torch.Generator().manual_seed(settings.seed)
    H, D = len(LEARNING_RATES), x.shape[1]
    heads = _Heads(0.01 * torch.randn(1, classes, D, generator=generator).repeat(H, 1, 1), torch.zeros(H, classes))
    speed = _Heads(torch.zeros_like(heads.weight), torch.zeros_like(heads.bias))
    rates = torch.tensor(LEARNING_RATES) * settings.batch_size / 256
    for step, rows in enumerate(_batches(len(x), settings, generator)):
        cosine = 0.5 * (1 + math.cos(math.pi * step / settings.steps))
        batch, targets = x[rows], F.one_hot(labels[rows], classes).to(x.dtype)
        error = (torch.softmax(heads.logits(batch), dim=-1) - targets) / len(rows)
        gradient = _Heads(torch.einsum("hmc,md->hcd", error, batch), error.sum(1))
        for value, moving, slope in (
            (heads.weight, speed.weight, gradient.weight),
            (heads.bias, speed.bias, gradient.bias),
        ):
            moving.mul_(0.9).add_(slope)
            value.sub_(moving * (rates * cosine).view(-1, *[1] * (value.dim() - 1)))
    return heads


def _batches(count: int, settings: LinearSettings, generator: torch.Generator) -> Iterator[Tensor]:
    """Random batches without replacement inside an epoch."""
    size, order = min(settings.batch_size, count), torch.empty(0, dtype=torch.int64)
    for _ in range(settings.steps):
        if len(order) < size:
            order = torch.randperm(count, generator=generator)
        yield order[:size]
        order = order[size:]


def _accuracies(heads: _Heads, x: Tensor, labels: Tensor) -> Tensor:
    """Top-1 accuracy of every head. Shapes: -> [H]."""
    right = torch.zeros(len(heads.bias))
    for start in range(0, len(x), 4096):
        rows = slice(start, start + 4096)
        right += (heads.logits(x[rows]).argmax(-1) == labels[rows]).float().sum(1)
    return right / len(x)
