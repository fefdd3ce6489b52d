"""What dedup did, in numbers that a person checks: sizes of groups, the loosest group, what references removed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.dedup.config import DedupConfig
from curation.dedup.decide import Decision, Pool
from curation.dedup.thresholds import Thresholds
from curation.index.join import Pairs
from curation.index.mirror_cosine import cosine_block, unit_rows

# Inner cosines of larger groups are taken over this many of their images.
INNER_ROWS = 1024
SHOWN_GROUPS = 10


@dataclass(frozen=True)
class GroupSummary:
    """One group: how many images, and the lowest cosine between any two of them."""

    group_id: str
    size: int
    min_inner_cosine: float


@dataclass(frozen=True)
class ReferenceReport:
    """Relative dedup against one set: pairs, pool images in them, pool images dropped with their components."""

    pairs: int
    direct: int
    dropped: int


@dataclass(frozen=True)
class DedupReport:
    """Counts are of unique images except `occurrences`, which counts files.

    `same_hash`: images that the pre-pass left out, if there was one; pairs and groups are of the others.
    """

    model: str
    index: str
    components: str
    threshold: float
    against_threshold: float | None
    maybe_threshold: float | None
    lowest_cosine: float
    occurrences: int
    images: int
    exact_duplicates: int
    same_hash: int | None
    pairs: int
    groups: int
    near_duplicates: int
    near_references: int
    maybe_pairs: int | None
    kept: int
    largest_group: int
    min_inner_cosine: float | None
    size_histogram: dict[str, int] = field(default_factory=dict)
    largest_groups: list[GroupSummary] = field(default_factory=list)
    loosest_groups: list[GroupSummary] = field(default_factory=list)
    against: dict[str, ReferenceReport] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)

    def counts(self) -> dict[str, Any]:
        """The numbers that fit in a small table."""
        shown = {name: value for name, value in self.as_dict().items() if not isinstance(value, list | dict)}
        return {**shown, "groups_by_size": self.size_histogram}

    def lines(self) -> list[str]:
        """What a person checks first: the largest and the loosest group, what references removed, the next command."""
        lines = []
        if self.largest_groups:
            largest, loosest = self.largest_groups[0], self.loosest_groups[0]
            lines.append(
                f"largest group {largest.group_id}: {largest.size} images, lowest cosine inside "
                f"{largest.min_inner_cosine:.3f}; loosest group {loosest.group_id}: {loosest.min_inner_cosine:.3f}"
            )
        lines += [
            f"against {name}: {found.direct:,} images near it, {found.dropped:,} dropped"
            for name, found in self.against.items()
        ]
        if self.maybe_pairs:
            lines.append(
                f"{self.maybe_pairs:,} pairs of kept images above {self.maybe_threshold:g} may be the same: they are "
                "in dedup/maybe.parquet, and `curate report` shows those nearest to the threshold"
            )
        return lines


def size_histogram(sizes: NDArray[np.int64]) -> dict[str, int]:
    """Number of groups by size: 2, 3, 4, 5-8, 9-16, ... in doubling bins."""
    bins: dict[str, int] = {}
    for size in np.sort(sizes).tolist():
        if size <= 4:
            name = str(size)
        else:
            top = 8
            while size > top:
                top *= 2
            name = f"{top // 2 + 1}-{top}"
        bins[name] = bins.get(name, 0) + 1
    return bins


def min_inner_cosine(vectors: NDArray[np.floating[Any]], rows: NDArray[np.int64], odd_dims: int) -> float:
    """Lowest cosine between two images of a group (over its first 1,024 images when it is larger)."""
    block = unit_rows(vectors[rows[:INNER_ROWS]])
    return round(float(cosine_block(block, block, odd_dims).min()), 4)


def summarise_groups(pool: Pool, decision: Decision) -> list[GroupSummary]:
    """One summary per group of two or more images, in order of group id."""
    members = np.flatnonzero(decision.size > 1)
    order = members[np.argsort(decision.labels[members], kind="stable")]
    bounds = np.flatnonzero(np.diff(decision.labels[order], prepend=-1, append=-2))
    summaries = []
    for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        rows = order[start:stop]
        name = pool.keys[int(decision.named[rows[0]])].as_py()
        lowest = min_inner_cosine(pool.vectors, rows, pool.odd_dims)
        summaries.append(GroupSummary(name, stop - start, lowest))
    return sorted(summaries, key=lambda group: group.group_id)


@dataclass(frozen=True)
class Findings:
    """What a run found. `occurrences`: files in the catalogue that are whole images. `hash_copies`: images that the
    pre-pass left out. `doubtful`: pairs of kept images
    that may be the same, if they were asked for.
    """

    pool: Pool
    pairs: Pairs
    decision: Decision
    reference_pairs: Mapping[str, Pairs]
    occurrences: int
    hash_copies: int = 0
    doubtful: Pairs | None = None


def make_report(found: Findings, settings: DedupConfig, limits: Thresholds, model: str, index: str) -> DedupReport:
    """The findings as counts."""
    pool, decision = found.pool, found.decision
    groups = summarise_groups(pool, decision)
    leaving = np.zeros(len(pool), np.bool_)
    for gone in decision.leaving.values():
        leaving |= gone
    kept = int(decision.kept.sum())
    against = {
        name: ReferenceReport(
            pairs=len(found.reference_pairs[name]),
            direct=len(np.unique(found.reference_pairs[name].b)),
            dropped=int(gone.sum()),
        )
        for name, gone in decision.leaving.items()
    }
    return DedupReport(
        model=model,
        index=index,
        components=settings.components,
        threshold=limits.same,
        against_threshold=limits.against if against else None,
        maybe_threshold=limits.maybe,
        lowest_cosine=limits.lowest,
        occurrences=found.occurrences,
        images=len(pool) + found.hash_copies,
        exact_duplicates=found.occurrences - len(pool) - found.hash_copies,
        same_hash=found.hash_copies if settings.prepass == "phash" else None,
        pairs=len(found.pairs.above(limits.same)),
        groups=len(groups),
        near_duplicates=len(pool) - kept - int(leaving.sum()),
        near_references=int(leaving.sum()),
        maybe_pairs=None if found.doubtful is None else len(found.doubtful),
        kept=kept,
        largest_group=max((group.size for group in groups), default=1),
        min_inner_cosine=min((group.min_inner_cosine for group in groups), default=None),
        size_histogram=size_histogram(np.array([group.size for group in groups], np.int64)),
        largest_groups=sorted(groups, key=lambda g: (-g.size, g.group_id))[:SHOWN_GROUPS],
        loosest_groups=sorted(groups, key=lambda g: (g.min_inner_cosine, g.group_id))[:SHOWN_GROUPS],
        against=against,
    )
