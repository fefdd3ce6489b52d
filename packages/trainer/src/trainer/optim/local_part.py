"""Parameters that lie on several ranks in parts: this rank's part, and norms over all parts."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from trainer.losses.across_ranks import sum_over_ranks


def is_sharded(tensors: Iterable[Tensor]) -> bool:
    """True when the tensors lie on several ranks in parts; all or none of a module's do."""
    return any(isinstance(tensor, DTensor) for tensor in tensors)


def local_part(x: Tensor) -> Tensor:
    """This rank's part of a sharded tensor, on the same memory; a plain tensor is its own part."""
    return x.to_local() if isinstance(x, DTensor) else x


def norm_over_parts(norm: Tensor, sharded: bool) -> Tensor:
    """The L2 norm of whole tensors from that of this rank's parts. Shapes: scalar -> scalar."""
    return sum_over_ranks(norm.square()).sqrt() if sharded else norm


def whole_tensor(x: Tensor) -> Tensor:
    """All parts together, on every rank; a plain tensor as it is. Every rank must call this."""
    whole: Tensor = x.full_tensor() if isinstance(x, DTensor) else x
    return whole.detach()


@torch.no_grad()
def parts_of(parameters: Iterable[Tensor]) -> list[Tensor]:
    """This rank's parts, without gradient."""
    return [local_part(parameter.detach()) for parameter in parameters]
