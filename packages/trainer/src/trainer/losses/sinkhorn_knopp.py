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


@torch.no_grad()
def sinkhorn_knopp(logits: Tensor, temp: float, iterations: int = 3) -> Tensor:
    """Balanced targets of all rows of all ranks; the same whatever the number of ranks or micro-batches.

    With E = exp(logits / temp), an iteration is u = 1 / (E' v), v = 1 / (E u), and the targets are E u v: the constants
    of the usual formulation (total mass, K, number of rows) cancel, so no count is needed.
    Differs: the largest logit of each prototype, then of each row, is subtracted. u and v absorb them, so the result is
    the same, but exp cannot overflow (the released code does for logits above 3.5 at temp 0.04) and no prototype or
    row vanishes.
    Shapes: [M, K] -> [M, K], float32; M may be 0 on some ranks.
    """
    return _balance(logits.to(torch.promote_types(logits.dtype, torch.float32)) / temp, iterations)


@torch.no_grad()
def sinkhorn_targets(
    features: Tensor, prototypes: Tensor, temp: float, iterations: int = 3, held_elements: int = HELD_ELEMENTS
) -> TargetRows:
    """The same targets from bottleneck features, without holding more than `held_elements` logits.

    In chunks every iteration is one pass over the rows (the first one, where v = 1 before rows are shifted, also finds
    the largest logits), and what remains is one bias per prototype: a row of targets is softmax(logits / temp + bias).
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

    here, total = _largest_and_sums(passes())
    largest = max_over_ranks(here.clone())
    u = _largest_is_one(sum_over_ranks(total * (here - largest).exp()).reciprocal())
    for _ in range(iterations - 1):
        total = torch.zeros_like(largest)
        for z in passes():
            E, _ = _exponentials(z, largest)
            total += (E @ u).reciprocal() @ E
        u = _largest_is_one(sum_over_ranks(total).reciprocal())
    bias = u.log() - largest
    return lambda start, stop: torch.softmax(scaled_logits(start, stop).add_(bias), dim=-1)


def _balance(z: Tensor, iterations: int) -> Tensor:
    """Targets in place of the logits over the temperature. Shapes: [M, K] -> [M, K]."""
    E, v = _exponentials(z, _largest(z))
    for _ in range(iterations):
        u = _largest_is_one(sum_over_ranks(v @ E).reciprocal())
        v = (E @ u).reciprocal()
    return E.mul_(u).mul_(v[:, None])


def _exponentials(z: Tensor, largest: Tensor) -> tuple[Tensor, Tensor]:
    """exp(z) with an entry of 1 in every row and prototype, in place, and the rows' factors of the first iteration."""
    z.sub_(largest)
    of_rows = z.amax(1) if z.shape[0] else z.new_zeros(0)
    return z.sub_(of_rows[:, None]).exp_(), of_rows.exp()


def _largest_is_one(u: Tensor) -> Tensor:
    """u up to a constant, which v undoes; keeps many iterations in range when M and K differ."""
    return u / u.amax()


def _largest(z: Tensor) -> Tensor:
    """Each prototype's largest value over the rows of all ranks. Shapes: [m, K] -> [K]."""
    return max_over_ranks(z.amax(0) if len(z) else z.new_full(z.shape[1:], -torch.inf))


def _largest_and_sums(chunks: Iterator[Tensor]) -> tuple[Tensor, Tensor]:
    """Each prototype's largest value on this rank, and the sum of exp(z - largest), chunk by chunk; chunks are used up.

    Shapes: [m, K] each -> [K], [K].
    """
    first = next(chunks)
    largest = first.amax(0)
    total = first.sub_(largest).exp_().sum(0)
    for z in chunks:
        before, largest = largest, torch.maximum(largest, z.amax(0))
        total = total * (before - largest).exp() + z.sub_(largest).exp_().sum(0)
    return largest, total
