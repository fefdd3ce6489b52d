"""Weighted nearest-neighbour classification, exact.

Dimensions: M training rows, Q test rows, D width, k neighbours.
Source: Wu et al. (arXiv 1805.01978), section 3.4; DINO (arXiv 2104.14294), appendix; the released DINOv2 evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from contracts.errors import MissingInput

KS = (10, 20, 100, 200)
TEMPERATURE = 0.07
CHUNK_ELEMENTS = 2**25
"""Similarities held at a time: 128 MiB in float32."""


@dataclass(frozen=True)
class KnnScore:
    """Share of test rows whose class is the most voted one, or among the five most voted."""

    top1: float
    top5: float


def knn_accuracy(
    train: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    ks: Sequence[int] = KS,
    temperature: float = TEMPERATURE,
    chunk_elements: int = CHUNK_ELEMENTS,
) -> dict[int, KnnScore]:
    """Accuracy for every k that the training set is large enough for (at least the smallest k, cut to M).

    Each neighbour votes for its class with exp(cosine / temperature).
    Shapes: train and test are (features [M or Q, D], labels [M or Q]). Errors: MissingInput when a label is missing.
    """
    (bank, bank_labels), (queries, labels) = train, test
    if bank_labels.numel() == 0 or labels.numel() == 0:
        raise MissingInput("k-NN needs training and test images: one of the two sets is empty")
    if bool((bank_labels < 0).any()) or bool((labels < 0).any()):
        raise MissingInput("k-NN needs a class for every image: use class folders, a labelled list or Parquet labels")
    M = len(bank)
    wanted = [k for k in sorted(set(ks)) if k <= M] or [M]
    bank, queries = F.normalize(bank.float(), dim=-1), F.normalize(queries.float(), dim=-1)
    classes = int(torch.cat([bank_labels, labels]).max()) + 1
    rows = max(chunk_elements // M, 1)
    right = torch.zeros(len(wanted), 2)
    for start in range(0, len(queries), rows):
        chunk = slice(start, start + rows)
        ranked = _ranked_classes(queries[chunk] @ bank.T, bank_labels, wanted, classes, temperature)
        hits = ranked == labels[chunk, None]
        right += torch.stack([hits[..., :1].sum((1, 2)), hits.sum((1, 2))], dim=1).cpu()
    shares = (right / len(queries)).tolist()
    return {k: KnnScore(top1, top5) for k, (top1, top5) in zip(wanted, shares, strict=True)}


def _ranked_classes(cosines: Tensor, labels: Tensor, ks: Sequence[int], classes: int, temperature: float) -> Tensor:
    """The five most voted classes for every k. Shapes: [q, M] -> [len(ks), q, min(5, classes)]."""
    nearest, index = cosines.topk(max(ks), dim=1)
    weights = torch.softmax(nearest / temperature, dim=1)
    votes = cosines.new_zeros(len(cosines), classes)
    ranked, before = [], 0
    for k in ks:
        votes.scatter_add_(1, labels[index[:, before:k]], weights[:, before:k])
        before = k
        ranked.append(votes.topk(min(5, classes), dim=1).indices)
    return torch.stack(ranked)
