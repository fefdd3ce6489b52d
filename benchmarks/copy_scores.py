"""Scores of a copy detector over a corpus with truth: ranking, recall per edit, and what merging would lose.

Dimensions: N images, P scored pairs, T true groups.
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from curation.dedup.components import connected_components


@dataclass(frozen=True)
class Truth:
    """Shapes: group int [N]; original, copy bool [N]. `edit`: empty for originals; `paths` are relative."""

    folder: Path
    paths: list[str]
    group: np.ndarray
    edit: list[str]
    original: np.ndarray
    copy: np.ndarray

    @property
    def positives(self) -> int:
        """Number of pairs of one group."""
        sizes = np.bincount(self.group)
        return int((sizes * (sizes - 1) // 2).sum())

    @property
    def groups(self) -> int:
        """Number of distinct pictures: what a perfect tool would keep."""
        return int(self.group.max()) + 1

    @property
    def original_of(self) -> np.ndarray:
        """The original of every copy, in the order of the copies. Shapes: int [copies]."""
        of_group = np.full(self.groups, -1)
        of_group[self.group[self.original]] = np.flatnonzero(self.original)
        return of_group[self.group[self.copy]]


def read_truth(corpus: Path, without: set[str]) -> Truth:
    """truth.csv of a corpus: path, group, role (original, copy, distractor), edit. `without`: edits left out."""
    with (corpus / "truth.csv").open(newline="") as handle:
        rows = [row for row in csv.DictReader(handle) if row["edit"] not in without]
    numbers: dict[str, int] = {}
    return Truth(
        folder=corpus,
        paths=[row["path"] for row in rows],
        group=np.array([numbers.setdefault(row["group"], len(numbers)) for row in rows]),
        edit=[row["edit"] for row in rows],
        original=np.array([row["role"] == "original" for row in rows]),
        copy=np.array([row["role"] == "copy" for row in rows]),
    )


@dataclass(frozen=True)
class ScoredPairs:
    """Pairs with a similarity; every pair once. Shapes: [P] each."""

    a: np.ndarray
    b: np.ndarray
    score: np.ndarray


def score_pairs(truth: Truth, pairs: ScoredPairs, threshold: float | None) -> dict[str, object]:
    """Micro-average precision, what is found at precision .99 and .999, and at the tool's own threshold."""
    order = np.argsort(-pairs.score, kind="stable")
    ranked = ScoredPairs(pairs.a[order], pairs.b[order], pairs.score[order])
    right = truth.group[ranked.a] == truth.group[ranked.b]
    # Equal scores are one block: the order within it is luck.
    last = np.flatnonzero(np.append(np.diff(ranked.score) != 0, True))
    found = np.cumsum(right)[last]
    precision, recall = found / (last + 1), found / truth.positives
    result: dict[str, object] = {"micro_ap": round(float((np.diff(recall, prepend=0) * precision).sum()), 4)}
    for name, least in (("at_p99", 0.99), ("at_p999", 0.999)):
        good = np.flatnonzero(precision >= least)
        if len(good):
            lowest = float(ranked.score[last[good[-1]]])
            result[name] = _at(truth, ranked, ranked.score >= lowest, lowest)
    if threshold is not None:
        result["at_default"] = _at(truth, ranked, ranked.score > threshold, threshold)
    return result


def without(truth: Truth, pairs: ScoredPairs, kinds: frozenset[str]) -> ScoredPairs:
    """Pairs of which no end is of these kinds."""
    stays = np.array([edit not in kinds for edit in truth.edit])
    keep = stays[pairs.a] & stays[pairs.b]
    return ScoredPairs(pairs.a[keep], pairs.b[keep], pairs.score[keep])


def _at(truth: Truth, pairs: ScoredPairs, keep: np.ndarray, threshold: float) -> dict[str, object]:
    a, b = pairs.a[keep], pairs.b[keep]
    right = truth.group[a] == truth.group[b]
    linked = set(zip(np.minimum(a, b).tolist(), np.maximum(a, b).tolist(), strict=True))
    ends = zip(np.flatnonzero(truth.copy).tolist(), truth.original_of.tolist(), strict=True)
    hits = [(min(ab), max(ab)) in linked for ab in ends]
    return {
        "threshold": round(threshold, 4),
        "precision": round(float(right.mean()) if len(right) else 1.0, 4),
        "pair_recall": round(float(right.sum() / truth.positives), 4),
        **found_copies(truth, hits),
        "merged": merged(truth, connected_components(len(truth.paths), a, b)),
    }


def found_copies(truth: Truth, hits: list[bool]) -> dict[str, object]:
    """Share of the copies that are tied to their original, in all and per edit. `hits`: in the order of the copies."""
    per_edit: dict[str, list[bool]] = defaultdict(list)
    for image, hit in zip(np.flatnonzero(truth.copy).tolist(), hits, strict=True):
        per_edit[truth.edit[image]].append(hit)
    return {
        "copy_recall": round(float(np.mean(hits)), 4),
        "per_edit": {edit: round(float(np.mean(found)), 3) for edit, found in sorted(per_edit.items())},
    }


def merged(truth: Truth, labels: np.ndarray) -> dict[str, object]:
    """What keeping one image of each component would keep and lose. Shapes: int [N].

    `expected_lost`: distinct pictures of which no image would be kept, when any member of a component is kept alike.
    """
    _, component = np.unique(labels, return_inverse=True)
    size = np.bincount(component)
    cells = Counter(zip(component.tolist(), truth.group.tolist(), strict=True))
    groups_in = Counter(one for one, _ in cells)
    gone = np.ones(truth.groups)
    for (one, group), count in cells.items():
        gone[group] *= 1 - count / size[one]
    kinds = Counter(
        " + ".join(sorted({truth.edit[i] or "photograph" for i in np.flatnonzero(component == one)}))
        for one, count in groups_in.items()
        if count > 1
    )
    return {
        "kept": len(size),
        "ideal": truth.groups,
        "false_merges": sum(count > 1 for count in groups_in.values()),
        "expected_lost": round(float(gone.sum()), 2),
        "largest": int(size.max()),
        "false_merges_of": dict(kinds.most_common(8)),
    }
