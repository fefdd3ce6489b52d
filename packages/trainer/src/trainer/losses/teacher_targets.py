"""Teacher targets that are made row by row, so that [M, K] need not be held.

Dimensions: M rows (tokens), H bottleneck width, K prototypes.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class TargetRows(Protocol):
    """Target distributions of the rows start..stop. Shapes: -> [stop - start, K], float32, rows sum to 1."""

    def __call__(self, start: int, stop: int) -> Tensor:
        """The targets of a run of rows."""


def dense_rows(targets: Tensor) -> TargetRows:
    """Targets that are held whole. Shapes: [M, K]."""

    def rows(start: int, stop: int) -> Tensor:
        return targets[start:stop]

    return rows


def shifted_rows(targets: TargetRows, first: int) -> TargetRows:
    """The same targets counted from row `first`: the part of one micro-batch."""

    def rows(start: int, stop: int) -> Tensor:
        return targets(first + start, first + stop)

    return rows


def mean_rows(targets: TargetRows, views: int, images: int) -> TargetRows:
    """Per image the mean of its views' targets; cross entropy is linear in the target, so one pass serves all views.

    Shapes: targets of views * images rows, view-major -> rows of `images`.
    """

    def rows(start: int, stop: int) -> Tensor:
        total = targets(start, stop).clone()
        for view in range(1, views):
            total += targets(view * images + start, view * images + stop)
        return total.div_(views)

    return rows
