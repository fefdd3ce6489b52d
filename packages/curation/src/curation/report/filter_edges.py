"""Images on both sides of the bounds of a filter: where the bound is, and what it costs, is seen at once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


@dataclass(frozen=True)
class FilterEdge:
    """One bound of a filter, such as `blur below 20`. `out`, `inside`: (key, value), the nearest to the bound first."""

    name: str
    out: list[tuple[str, float]]
    inside: list[tuple[str, float]]


def filter_edges(table_file: Path, images: int) -> list[FilterEdge]:
    """Up to so many images beyond and within each bound that drops any; nothing where no filter ran."""
    report = table_file.with_suffix(".json")
    if not (table_file.is_file() and report.is_file()):
        return []
    bounds: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))["bounds"]
    table = pq.read_table(table_file, columns=["key", *(name for name in bounds)])
    found = []
    for name, bound in bounds.items():
        values = table.column(name).to_numpy()
        for side, word in (("min", "below"), ("max", "above")):
            if bound.get(side) is not None:
                out, inside = _around(values, float(bound[side]), beyond_is_low=side == "min", images=images)
                if len(out):
                    title = f"{name.replace('_', ' ')} {word} {bound[side]:g}"
                    found.append(FilterEdge(title, _pairs(table, values, out), _pairs(table, values, inside)))
    return found


Rows = np.ndarray[tuple[int], np.dtype[np.int64]]


def _around(values: np.ndarray[Any, Any], bound: float, *, beyond_is_low: bool, images: int) -> tuple[Rows, Rows]:
    known = np.flatnonzero(~np.isnan(values))
    near = known[np.argsort(np.abs(values[known] - bound), kind="stable")]
    beyond = values[near] < bound if beyond_is_low else values[near] > bound
    return near[beyond][:images], near[~beyond][:images]


def _pairs(table: pa.Table, values: np.ndarray[Any, Any], rows: Rows) -> list[tuple[str, float]]:
    keys = table.column("key").take(pa.array(rows)).to_pylist()
    return list(zip(keys, values[rows].tolist(), strict=True))
