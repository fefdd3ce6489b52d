"""Clusters of the pool and how many of each the balanced sample took: what balancing did."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

WIDTH, HEIGHT, BARS = 760, 150, 120
Counts = np.ndarray[tuple[int], np.dtype[np.int64]]


def before_and_after(members: np.ndarray[Any, Any], sampled: np.ndarray[Any, Any]) -> tuple[Counts, Counts]:
    """Images and sampled images of every cluster, the largest cluster first. Shapes: [N], [S] -> [K], [K]."""
    clusters = int(max(members.max(initial=-1), sampled.max(initial=-1))) + 1
    before, after = (np.bincount(column, minlength=clusters) for column in (members, sampled))
    order = np.argsort(-before, kind="stable")
    return before[order], after[order]


def sizes_picture(before: Sequence[int] | Counts, after: Sequence[int] | Counts) -> str:
    """Bars of cluster sizes, the sampled part dark; neighbours are averaged where there are many clusters. An SVG."""
    if not len(before):
        return ""
    cut = np.linspace(0, len(before), min(BARS, len(before)) + 1).astype(int)
    tall, dark = (
        [float(np.mean(np.asarray(column)[start:stop])) for start, stop in pairwise(cut)] for column in (before, after)
    )
    step, scale = WIDTH / len(tall), HEIGHT / max(tall)
    bars = []
    for place, pair in enumerate(zip(tall, dark, strict=True)):
        for kind, value in zip(("whole", "part"), pair, strict=True):
            height = max(0.6, value * scale) if value else 0.0
            spot = f"x='{place * step:.1f}' y='{HEIGHT - height:.1f}' width='{0.86 * step:.2f}' height='{height:.1f}'"
            bars.append(f"<rect class='{kind}' {spot}/>")
    inside = "".join(bars)
    return f"<svg class='sizes' viewBox='0 0 {WIDTH} {HEIGHT}' role='img' aria-label='cluster sizes'>{inside}</svg>"
