"""Cross entropy against teacher targets over K prototypes, forward and backward in one pass over chunks of rows.

Dimensions: M target rows, R student views per target row, H bottleneck width, K prototypes, m rows of a chunk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainer.losses.teacher_targets import TargetRows

CHUNK_ELEMENTS = 2**24
"""Logits held at a time: 64 MiB in float32."""


def prototype_cross_entropy(
    features: Tensor,
    prototypes: Tensor,
    targets: TargetRows,
    row_weights: Tensor,
    student_temp: float = 0.1,
    chunk_elements: int = CHUNK_ELEMENTS,
) -> Tensor:
    """Sum over rows and views of weight * CE(target, softmax(features @ prototypes' / student_temp)).

    The same number as -(w * (t * log_softmax(z / temp)).sum(-1)).sum(), but only one chunk of logits exists at a time:
    gradients are computed together with the loss and wait for backward, at the cost of one copy of each input.
    Softmax and sums are float32 (float64 for float64 inputs); under autocast the matrix products follow its dtype.
    Shapes: features [R * M, H] view-major, prototypes [K, H], row_weights [M] -> scalar. M may be 0.
    """
    plan = _Plan(targets, row_weights, student_temp, chunk_elements)
    out: Tensor = _ChunkedCrossEntropy.apply(features, prototypes, plan)  # type: ignore[no-untyped-call]
    return out


@dataclass(frozen=True)
class _Plan:
    """The arguments that carry no gradient."""

    targets: TargetRows
    row_weights: Tensor
    student_temp: float
    chunk_elements: int


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Loss in forward, with both gradients for an upstream gradient of 1; backward scales them."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, prototypes: Tensor, plan: _Plan) -> Tensor:
        wide = torch.promote_types(features.dtype, torch.float32)
        M, K, H = len(plan.row_weights), prototypes.shape[0], features.shape[-1]
        weights = plan.row_weights.to(wide)
        views = features.view(-1, M, H) if M else features.view(0, 0, H)
        matrix = prototypes.to(_product_dtype(features))
        grad_features = torch.empty_like(views, dtype=wide)
        grad_prototypes = torch.zeros_like(prototypes, dtype=wide)
        loss = features.new_zeros((), dtype=wide)
        rows = max(plan.chunk_elements // (max(len(views), 1) * K), 16)
        for a in range(0, M, rows):
            chunk = slice(a, min(a + rows, M))
            z = views[:, chunk].to(matrix.dtype) / plan.student_temp
            part, error = _loss_and_error(z, matrix, plan.targets(chunk.start, chunk.stop).to(wide), weights[chunk])
            loss += part
            if any(ctx.needs_input_grad):
                scale = weights[chunk, None]
                grad_features[:, chunk] = (error @ matrix).to(wide) * (scale / plan.student_temp)
                grad_prototypes += error.flatten(0, 1).T @ (z * scale.to(z.dtype)).flatten(0, 1)
        ctx.save_for_backward(grad_features.view_as(features), grad_prototypes)
        ctx.dtypes = features.dtype, prototypes.dtype
        return loss

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        grad_features, grad_prototypes = ctx.saved_tensors
        features_dtype, prototypes_dtype = ctx.dtypes
        return (grad_features * grads[0]).to(features_dtype), (grad_prototypes * grads[0]).to(prototypes_dtype), None


def _loss_and_error(z: Tensor, matrix: Tensor, target: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted loss of a chunk and d CE / d logits, softmax * mass - target.

    Shapes: z [R, m, H] already divided by the temperature, target [m, K], weights [m] -> scalar, [R, m, K].
    """
    logits = (z @ matrix.T).to(target.dtype)
    error = torch.softmax(logits, dim=-1)
    mass = target.sum(-1)
    # The log-partition read off at the largest entry of each row, which saves a pass of exponentials.
    log_partition = logits.amax(-1) - error.amax(-1).log()
    agreement = torch.bmm(logits.transpose(0, 1), target.unsqueeze(-1)).squeeze(-1).T
    loss = ((log_partition * mass - agreement) * weights).sum()
    return loss, error.mul_(mass[:, None]).sub_(target).to(z.dtype)


def _product_dtype(features: Tensor) -> torch.dtype:
    """The dtype of matrix products: autocast's where it is on, else the features' own."""
    device = features.device.type
    if torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return features.dtype
