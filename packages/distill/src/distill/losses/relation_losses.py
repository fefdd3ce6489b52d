"""Losses between the relations inside a batch or an image: they need no projection, whatever the two widths.

Dimensions: B crops, N patches, D and E widths of student and teacher. All give a scalar, in float32.
One function and one table line each.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from contracts.errors import ConfigError, nearest_name
from distill.teachers.teacher import TeacherTokens
from trainer.losses.gram import gram_loss

TEMPERATURE = 0.07
RelationLoss = Callable[[TeacherTokens, TeacherTokens], Tensor]
"""Student tokens, teacher tokens (cls [B, D], patches [B, N, D]) -> scalar."""


def patch_gram(student: TeacherTokens, teacher: TeacherTokens) -> Tensor:
    """Squared difference of the cosine matrices of each image's patches. Source: DINOv3 (arXiv 2508.10104), 4.2."""
    return gram_loss(student.patches, teacher.patches)


def patch_similarity(student: TeacherTokens, teacher: TeacherTokens) -> Tensor:
    """KL divergence of where each patch looks among the other patches of its image (softmax of cosines)."""
    return _similarity_divergence(student.patches, teacher.patches)


def batch_similarity(student: TeacherTokens, teacher: TeacherTokens) -> Tensor:
    """The same among the class tokens of a batch. Source: SEED (arXiv 2101.04731), with the batch as its queue."""
    return _similarity_divergence(student.cls[None], teacher.cls[None])


def batch_distance(student: TeacherTokens, teacher: TeacherTokens) -> Tensor:
    """Smooth L1 between distances of class tokens, each over its mean. Source: RKD (arXiv 1904.05068), eq. 5."""
    return F.smooth_l1_loss(_relative_distances(student.cls), _relative_distances(teacher.cls))


RELATION_LOSSES: dict[str, RelationLoss] = {
    "patch_gram": patch_gram,
    "patch_similarity": patch_similarity,
    "batch_similarity": batch_similarity,
    "batch_distance": batch_distance,
}


def relation_loss(name: str) -> RelationLoss:
    """Look a loss up by name. Errors: ConfigError with the nearest known name."""
    if name not in RELATION_LOSSES:
        raise ConfigError(f"unknown relation loss {name!r}; {nearest_name(name, RELATION_LOSSES)}")
    return RELATION_LOSSES[name]


def _similarity_divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean over rows of KL(teacher || student) of the softmax of cosines to the other rows.

    Shapes: student [G, M, D], teacher [G, M, E]; M must be at least 2.
    """
    theirs = torch.log_softmax(_cosines_to_others(teacher) / TEMPERATURE, dim=-1)
    ours = torch.log_softmax(_cosines_to_others(student) / TEMPERATURE, dim=-1)
    return F.kl_div(ours, theirs, reduction="sum", log_target=True) / (student.shape[0] * student.shape[1])


def _cosines_to_others(rows: Tensor) -> Tensor:
    """Shapes: [G, M, D] -> [G, M, M - 1]: the diagonal is left out."""
    unit = F.normalize(rows.float(), dim=-1)
    cosines = unit @ unit.transpose(1, 2)
    G, M, _ = cosines.shape
    return cosines.flatten(1)[:, 1:].view(G, M - 1, M + 1)[:, :, :-1].reshape(G, M, M - 1)


def _relative_distances(rows: Tensor) -> Tensor:
    """Distances between all pairs of rows over their mean. Shapes: [B, D] -> [B (B - 1) / 2]."""
    distances = F.pdist(rows.float())
    return distances / distances.mean().clamp_min(1e-8)
