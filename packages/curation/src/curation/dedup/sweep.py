"""What other thresholds would do, from pairs that are on disk already.

Dimensions: N images, P pairs, T thresholds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from contracts.errors import UserError
from curation.dedup.components import DisjointSet
from curation.index.join import Pairs

DEFAULT_STEP = 0.05
MOST_THRESHOLDS = 1000


@dataclass(frozen=True)
class SweepPoint:
    """Connected components at one threshold. `groups`: of two or more images; `kept`: images that would stay."""

    threshold: float
    pairs: int
    kept: int
    groups: int
    largest_group: int


@dataclass(frozen=True)
class SweepReport:
    """Thresholds ascending."""

    model: str
    images: int
    points: list[SweepPoint]

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)

    def lines(self) -> list[str]:
        """A line and a bar of kept images per threshold."""
        widest = 32  # a line fits 80 columns
        lines = ["cosine      kept   groups  largest       pairs"]
        for point in self.points:
            bar = "#" * round(widest * point.kept / max(1, self.images))
            counts = f"{point.kept:9,} {point.groups:8,} {point.largest_group:8,} {point.pairs:11,}"
            lines.append(f"{point.threshold:6.3f} {counts}  {bar}")
        return lines


def parse_sweep(text: str) -> list[float]:
    """`0.4:0.9` or `0.4:0.9:0.05` as thresholds, ascending. Errors: UserError."""
    try:
        numbers = [float(part) for part in text.split(":")]
        low, high = numbers[0], numbers[1]
        step = numbers[2] if len(numbers) == 3 else DEFAULT_STEP
    except (ValueError, IndexError):
        raise UserError(f"--sweep is {text!r}: give LOW:HIGH or LOW:HIGH:STEP, such as 0.4:0.9:0.05") from None
    if not (-1 <= low <= high <= 1 and step > 0 and len(numbers) <= 3) or (high - low) / step > MOST_THRESHOLDS:
        raise UserError(f"--sweep is {text!r}: the cosines must rise from LOW to HIGH within -1 and 1, in some steps")
    count = int((high - low) / step + 1e-9) + 1
    return [round(low + step * number, 6) for number in range(count)]


def sweep(pairs: Pairs, rows: int, thresholds: Sequence[float]) -> list[SweepPoint]:
    """Components at every threshold in one pass: from the highest down, each adds its edges to those above it."""
    disjoint, points, done = DisjointSet(rows), [], np.zeros(len(pairs), np.bool_)
    for threshold in sorted(thresholds, reverse=True):
        above = pairs.cosine > np.float32(threshold)
        fresh = above & ~done
        disjoint.join(pairs.a[fresh], pairs.b[fresh])
        done |= fresh
        sizes = np.bincount(disjoint.labels(), minlength=rows)
        points.append(
            SweepPoint(
                threshold=threshold,
                pairs=int(above.sum()),
                kept=int((sizes > 0).sum()),
                groups=int((sizes > 1).sum()),
                largest_group=int(sizes.max(initial=0)),
            )
        )
    return points[::-1]
