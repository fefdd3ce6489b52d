"""Gradients of several ranks become their mean, so that every rank takes the same step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from trainer.losses.across_ranks import max_over_ranks, sum_over_ranks, world_size

BUCKET_ELEMENTS = 2**24
"""Gradients that are sent together: 64 MiB in float32."""


@torch.no_grad()
def average_gradients(parameters: Iterable[nn.Parameter], group: dist.ProcessGroup | None = None) -> None:
    """Mean over ranks of every gradient, in place; nothing to do on one rank.

    A parameter that got a gradient on some ranks only counts as zero on the others; one that got none anywhere keeps
    none. Sharded parameters are left alone: theirs are averaged in the backward pass. With a `group`, only its ranks
    have these parameters, and the mean is still over all ranks.
    """
    ranks = world_size()
    if ranks == 1:
        return
    trained = [p for p in parameters if p.requires_grad and not isinstance(p, DTensor)]
    if not trained:
        return
    has_gradient = torch.tensor([float(p.grad is not None) for p in trained], device=trained[0].device)
    wanted = [p for p, anywhere in zip(trained, max_over_ranks(has_gradient, group).tolist(), strict=True) if anywhere]
    for bucket in _buckets([_gradient(parameter) for parameter in wanted]):
        flat = sum_over_ranks(torch.cat([gradient.flatten() for gradient in bucket]), group).div_(ranks)
        for gradient, mean in zip(bucket, torch.split(flat, [gradient.numel() for gradient in bucket]), strict=True):
            gradient.copy_(mean.view_as(gradient))


def _gradient(parameter: nn.Parameter) -> Tensor:
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


def _buckets(gradients: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Runs of gradients of one type and at most BUCKET_ELEMENTS, in order."""
    bucket: list[Tensor] = []
    for gradient in gradients:
        full = sum(part.numel() for part in bucket) + gradient.numel() > BUCKET_ELEMENTS
        if bucket and (full or gradient.dtype != bucket[0].dtype):
            yield bucket
            bucket = []
        bucket.append(gradient)
    if bucket:
        yield bucket
