"""Choice of an index by the number of vectors, and its parameters in words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

# Below this number of vectors comparing all with all costs less than training lists.
EXACT_ROWS = 25_000
DEFAULT_OVERLAP = 12.0


@dataclass(frozen=True)
class IndexPlan:
    """What will run. `lists`, `probes` and `overlap` are 0 for the exact kind.

    `probes`: lists that a search looks into per query. `overlap`: lists that a vector is in, on average, for a join.
    """

    kind: Literal["exact", "ivf"]
    rows: int
    dim: int
    lists: int
    probes: int
    overlap: float
    reason: str

    def describe(self) -> str:
        """One line for the plan that a command prints."""
        if self.kind == "exact":
            return f"exact: {self.rows:,} x {self.dim}, all pairs in blocks ({self.reason})"
        return (
            f"ivf: {self.rows:,} x {self.dim} in {self.lists:,} lists; joins: a vector is in {self.overlap:g} lists on "
            f"average; searches: {self.probes} lists per query ({self.reason})"
        )


def plan_index(
    rows: int,
    dim: int,
    kind: Literal["faiss", "exact", "ivf"] = "faiss",
    lists: int | None = None,
    probes: int | None = None,
    overlap: float | None = None,
) -> IndexPlan:
    """Fix the kind and its parameters. `faiss` chooses by size."""
    if kind == "exact" or (kind == "faiss" and rows <= EXACT_ROWS):
        reason = "asked" if kind == "exact" else f"at most {EXACT_ROWS:,} vectors"
        return IndexPlan("exact", rows, dim, 0, 0, 0.0, reason)
    reason = "asked" if kind == "ivf" else f"more than {EXACT_ROWS:,} vectors"
    chosen = max(1, min(lists or default_lists(rows), rows))
    looked_into = min(probes or default_probes(chosen), chosen)
    return IndexPlan("ivf", rows, dim, chosen, looked_into, min(overlap or DEFAULT_OVERLAP, chosen), reason)


def default_lists(rows: int) -> int:
    """8 sqrt(n) lists: of several small ones a vector joins more. Faiss's guidelines say 4 to 16 sqrt(n)."""
    return max(1, round(8 * math.sqrt(rows)))


def default_probes(lists: int) -> int:
    """How many lists a search looks into: a twentieth. Neighbours of seed images are farther than copies, and a
    hundredth lost a third of them among a million (docs/benchmarks.md)."""
    return max(1, min(lists, 16 + round(0.05 * lists)))
