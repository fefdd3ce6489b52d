"""Cross entropy against teacher targets over K prototypes, forward and backward in one pass over chunks of rows.

Dimensions: M target rows, R student views per target row, H bottleneck width, K prototypes; n rows of a chunk.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainer.losses.teacher_targets import TargetRows

CHUNK_ELEMENTS = 2**24
"""Logits held at a time: 64 MiB in float32."""


@dataclass(frozen=True)
class Segment:
    """One loss over its own rows: the sum over rows and views of weight * CE(target, student).

    `scale` multiplies it in the total. Shapes: features [R * M, H] view-major, weights [M]; M may be 0.
    """

    features: Tensor
    targets: TargetRows
    weights: Tensor
    scale: float = 1.0


def prototype_cross_entropies(
    segments: Sequence[Segment],
    prototypes: Tensor,
    student_temp: float = 0.1,
    chunk_elements: int = CHUNK_ELEMENTS,
) -> tuple[Tensor, list[Tensor]]:
    """Scaled sum of several losses over the same prototypes, and each loss unscaled and without gradient.

    With z = features @ prototypes' / student_temp, a segment's loss is -(weights * (t * log_softmax(z)).sum(-1)).sum(),
    but only one chunk of z exists at a time: gradients are computed together with the loss and wait for backward.
    Targets must sum to 1 in every row. Softmax and sums are float32 (float64 for float64 inputs); under autocast the
    matrix products follow its dtype.
    Shapes: prototypes [K, H] -> scalar, one scalar per segment.
    """
    plan = _Plan(tuple(segments), student_temp, chunk_elements)
    features = [segment.features for segment in segments]
    total, losses = _ChunkedCrossEntropy.apply(plan, prototypes, *features)  # type: ignore[no-untyped-call]
    return total, list(losses)


def prototype_cross_entropy(
    segment: Segment, prototypes: Tensor, student_temp: float = 0.1, chunk_elements: int = CHUNK_ELEMENTS
) -> Tensor:
    """The loss of a single segment."""
    return prototype_cross_entropies([segment], prototypes, student_temp, chunk_elements)[0]


@dataclass(frozen=True)
class _Plan:
    """The arguments that carry no gradient."""

    segments: tuple[Segment, ...]
    student_temp: float
    chunk_elements: int


@dataclass(frozen=True)
class _Piece:
    """The target rows start..stop of a segment, for all its views: R * (stop - start) rows of logits."""

    segment: int
    views: int
    start: int
    stop: int

    @property
    def rows(self) -> int:
        return self.views * (self.stop - self.start)


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Losses in forward, with all gradients for an upstream gradient of 1; backward scales them."""

    @staticmethod
    def forward(ctx: Any, plan: _Plan, prototypes: Tensor, *features: Tensor) -> tuple[Tensor, Tensor]:
        wide = torch.promote_types(prototypes.dtype, torch.float32)
        matrix = prototypes.to(_product_dtype(prototypes))
        wanted = any(ctx.needs_input_grad)
        gradients = [torch.empty_like(x, dtype=wide) for x in features] if wanted else []
        of_prototypes = torch.zeros(0, dtype=wide, device=matrix.device)
        losses = prototypes.new_zeros(len(features), dtype=wide)
        for chunk in _chunks(plan, len(prototypes)):
            z = torch.cat([_rows(features[p.segment], plan, p) for p in chunk]).to(matrix.dtype) / plan.student_temp
            error = _accumulate_losses(losses, z, matrix, chunk, plan)
            if wanted:
                weights = torch.cat([_row_weights(plan, p) for p in chunk]).to(wide)[:, None]
                back = (error @ matrix).to(wide) * (weights / plan.student_temp)
                for piece, part in zip(chunk, torch.split(back, [p.rows for p in chunk]), strict=True):
                    _views(gradients[piece.segment], plan, piece)[:] = part.view(piece.views, -1, part.shape[1])
                of_prototypes = _add_product(of_prototypes, error, z * weights.to(z.dtype))
        if wanted and not len(of_prototypes):
            of_prototypes = torch.zeros_like(prototypes, dtype=wide)
        ctx.save_for_backward(of_prototypes, *gradients)
        ctx.dtypes = [prototypes.dtype, *(x.dtype for x in features)]
        ctx.mark_non_differentiable(losses)
        scales = losses.new_tensor([segment.scale for segment in plan.segments])
        return (losses * scales).sum(), losses

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        given = upstream[0]
        gradients: Sequence[Tensor] = ctx.saved_tensors
        # The usual case: losses are summed as they are. Looking at the value is free on the CPU only.
        if given.device.type != "cpu" or given.item() != 1.0:
            gradients = [gradient * given for gradient in gradients]
        return None, *(gradient.to(dtype) for gradient, dtype in zip(gradients, ctx.dtypes, strict=True))


def _accumulate_losses(losses: Tensor, z: Tensor, matrix: Tensor, chunk: Sequence[_Piece], plan: _Plan) -> Tensor:
    """Add the chunk's losses and return d CE / d logits, softmax - target. Shapes: z [n, H] -> [n, K]."""
    logits = (z @ matrix.T).to(losses.dtype)
    error = torch.softmax(logits, dim=-1)
    # The log-partition read off at the largest entry of each row, which saves a pass of exponentials.
    log_partition = logits.amax(-1) - error.amax(-1).log()
    first = 0
    for piece in chunk:
        rows, shape = slice(first, first + piece.rows), (piece.views, piece.stop - piece.start)
        segment = plan.segments[piece.segment]
        target = segment.targets(piece.start, piece.stop).to(losses.dtype)
        agreement = torch.bmm(logits[rows].view(*shape, -1).transpose(0, 1), target.unsqueeze(-1)).squeeze(-1).T
        weights = segment.weights[piece.start : piece.stop]
        losses[piece.segment] += ((log_partition[rows].view(shape) - agreement) * weights).sum()
        error[rows].view(*shape, -1).sub_(target)
        first += piece.rows
    return error.to(z.dtype)


def _chunks(plan: _Plan, K: int) -> Iterator[list[_Piece]]:
    """All rows of all segments, in groups whose logits fit `chunk_elements`; a segment's pieces are of even size."""
    most = max(plan.chunk_elements // K, 16)
    group: list[_Piece] = []
    for index, segment in enumerate(plan.segments):
        M = len(segment.weights)
        views = len(segment.features) // M if M else 0
        count = -(-M * views // most)
        for part in range(count):
            piece = _Piece(index, views, part * M // count, (part + 1) * M // count)
            if piece.rows and group and sum(p.rows for p in group) + piece.rows > most:
                yield group
                group = []
            group += [piece] if piece.rows else []
    if group:
        yield group


def _views(x: Tensor, plan: _Plan, piece: _Piece) -> Tensor:
    """The piece's rows of a segment's matrix, as [R, rows, H]."""
    return x.view(piece.views, len(plan.segments[piece.segment].weights), -1)[:, piece.start : piece.stop]


def _rows(x: Tensor, plan: _Plan, piece: _Piece) -> Tensor:
    return _views(x.contiguous(), plan, piece).flatten(0, 1)


def _row_weights(plan: _Plan, piece: _Piece) -> Tensor:
    """The weight of every row of a piece in the total."""
    segment = plan.segments[piece.segment]
    return (segment.weights[piece.start : piece.stop] * segment.scale).repeat(piece.views)


def _add_product(total: Tensor, error: Tensor, z: Tensor) -> Tensor:
    """total + error' @ z, in place where there is a total already. Shapes: [K, H], [n, K], [n, H] -> [K, H]."""
    if error.dtype != total.dtype:
        product = (error.T @ z).to(total.dtype)
        return total.add_(product) if len(total) else product
    return total.addmm_(error.T, z) if len(total) else error.T @ z


def _product_dtype(x: Tensor) -> torch.dtype:
    """The dtype of matrix products: autocast's where it is on, else the tensor's own."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
