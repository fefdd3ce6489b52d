"""Sums and maxima over ranks, all of them or a group; without several ranks they are the local values."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor


def world_size() -> int:
    """Number of ranks that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def sum_over_ranks(x: Tensor, group: dist.ProcessGroup | None = None) -> Tensor:
    """The sum of every rank's tensor, or of those of a group; the argument may be overwritten."""
    if world_size() > 1:
        dist.all_reduce(x, group=group)
    return x


def max_over_ranks(x: Tensor, group: dist.ProcessGroup | None = None) -> Tensor:
    """The elementwise maximum of every rank's tensor, or of those of a group; the argument may be overwritten."""
    if world_size() > 1:
        dist.all_reduce(x, op=dist.ReduceOp.MAX, group=group)
    return x


def gather_rows(x: Tensor) -> tuple[Tensor, int]:
    """Rows of all ranks, differentiable, and the index of this rank's first row.

    Shapes: [B, D] -> [world * B, D]; every rank must hold as many rows.
    """
    if world_size() == 1:
        return x, 0
    from torch.distributed.nn.functional import all_gather

    everyone = all_gather(x)  # type: ignore[no-untyped-call]
    return torch.cat(list(everyone)), dist.get_rank() * x.shape[0]
