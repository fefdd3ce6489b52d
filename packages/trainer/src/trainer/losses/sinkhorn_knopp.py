"""Sinkhorn-Knopp: teacher targets in which every prototype gets an equal share of the batch.

Dimensions: M rows (tokens of this rank), H bottleneck width, K prototypes, m rows of a chunk.
Source: SwAV (arXiv 2006.09882), section 3; DINOv2 (arXiv 2304.07193), section 4.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.losses.across_ranks import max_over_ranks, sum_over_ranks
from trainer.losses.teacher_targets import TargetRows, dense_rows

HELD_ELEMENTS = 2**26
"""Logits that may be held whole: 256 MiB in float32. Beyond, they are made again, chunk by chunk, in every pass."""

_TINY = 1e-30
"""Below this a sum of exponentials is taken for lost, so that its reciprocal stays finite."""


@torch.no_grad()
def sinkhorn_knopp(logits: Tensor, temp: float, iterations: int = 3) -> Tensor:
    """Balanced targets of all rows of all ranks; the same whatever the number of ranks or micro-batches.

    With E = exp(logits / temp), an iteration is u = 1 / (E' v), v = 1 / (E u), and the targets are E u v: the constants
    of the usual formulation (total mass, K, number of rows) cancel, so no count is needed.
    Differs: each prototype's largest logit is subtracted first. u absorbs it, so the result is the same, but
    exp can no longer overflow (the released code does for logits above 3.5 at temp 0.04) and no prototype vanishes.
    Shapes: [M, K] -> [M, K], float32; M may be 0 on some ranks.
    """
    E = logits.to(torch.promote_types(logits.dtype, torch.float32)) / temp
    E.sub_(_largest([E])).exp_()
    v = E.new_ones(E.shape[0])
    u = E.new_ones(E.shape[1])
    for _ in range(iterations):
        u = _inverse(sum_over_ranks(v @ E))
        v = _inverse(E @ u)
    return E.mul_(u).mul_(v[:, None])


@torch.no_grad()
def sinkhorn_targets(
    features: Tensor, prototypes: Tensor, temp: float, iterations: int = 3, held_elements: int = HELD_ELEMENTS
) -> TargetRows:
    """The same targets from bottleneck features, without holding more than `held_elements` logits.

    In chunks every iteration is one pass over the rows, and what remains is one bias per prototype: a row of targets is
    softmax(logits / temp + bias).
    Shapes: features [M, H], prototypes [K, H].
    """
    (M, _), K = features.shape, len(prototypes)
    if held_elements >= M * K:
        return dense_rows(sinkhorn_knopp(F.linear(features, prototypes), temp, iterations))

    def scaled_logits(start: int, stop: int) -> Tensor:
        z = F.linear(features[start:stop], prototypes)
        return z.to(torch.promote_types(z.dtype, torch.float32)) / temp

    chunk = max(held_elements // (4 * K), 16)

    def passes() -> Iterator[Tensor]:
        return (scaled_logits(a, min(a + chunk, M)) for a in range(0, M, chunk))

    largest = _largest(passes())
    u = torch.ones_like(largest)
    for iteration in range(iterations):
        total = torch.zeros_like(largest)
        for z in passes():
            E = z.sub_(largest).exp_()
            v = E.new_ones(len(E)) if iteration == 0 else _inverse(E @ u)
            total += v @ E
        u = _inverse(sum_over_ranks(total))
    bias = u.log() - largest
    return lambda start, stop: torch.softmax(scaled_logits(start, stop).add_(bias), dim=-1)


def _inverse(sums: Tensor) -> Tensor:
    return sums.clamp_min(_TINY).reciprocal()


def _largest(chunks: Iterator[Tensor] | list[Tensor]) -> Tensor:
    """Each prototype's largest value over the rows of all chunks and ranks. Shapes: [m, K] each -> [K]."""
    largest: Tensor | None = None
    for chunk in chunks:
        top = chunk.amax(0) if len(chunk) else chunk.new_full(chunk.shape[1:], -torch.inf)
        largest = top if largest is None else torch.maximum(largest, top)
    assert largest is not None, "no chunk of logits"
    return max_over_ranks(largest)
