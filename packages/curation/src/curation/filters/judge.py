"""From values and bounds to verdicts: pure, so that other bounds are judged without decoding an image again.

Dimensions: N images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.filters.config import Bounds

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Verdicts:
    """Shapes: kept bool [N]; reasons text [N], null where kept. `counts`: images that each filter would drop alone."""

    kept: Bools
    reasons: pa.Array
    counts: dict[str, int]


def judge(values: pa.Table, bounds: Mapping[str, Bounds]) -> Verdicts:
    """Hold every value against its bounds; a reason names all filters that an image fails, in the order of `bounds`.

    `values`: one float column per filter; what is null fails nothing.
    """
    failed: dict[str, tuple[Bools, Bools]] = {}
    columns = {name: values.column(name).cast(pa.float64()).to_numpy() for name in bounds}
    for name, bound in bounds.items():
        nothing = np.zeros(values.num_rows, np.bool_)
        low = columns[name] < bound.min if bound.min is not None else nothing
        high = columns[name] > bound.max if bound.max is not None else nothing
        failed[name] = (low, high)
    dropped = np.zeros(values.num_rows, np.bool_)
    for low, high in failed.values():
        dropped |= low | high
    reasons: list[str | None] = [None] * values.num_rows
    for row in np.flatnonzero(dropped).tolist():
        told = []
        for name, (low, high) in failed.items():
            if low[row] or high[row]:
                told.append(f"{name} {_against(float(columns[name][row]), bounds[name], below=bool(low[row]))}")
        reasons[row] = "filtered: " + ", ".join(told)
    counts = {name: int((low | high).sum()) for name, (low, high) in failed.items()}
    return Verdicts(~dropped, pa.array(reasons, pa.string()), counts)


def _against(value: float, bounds: Bounds, *, below: bool) -> str:
    bound = bounds.min if below else bounds.max
    assert bound is not None
    return f"{_shown(value, bound)} {'below' if below else 'above'} {bound:g}"


def _shown(value: float, bound: float) -> str:
    """Three digits, or as many as it takes to see on which side of the bound the value is."""
    for digits in range(3, 17):
        rounded = float(f"{value:.{digits}g}")
        if rounded != bound and (rounded < bound) == (value < bound):
            return f"{rounded:.{max(digits, 6)}g}"
    return repr(value)
