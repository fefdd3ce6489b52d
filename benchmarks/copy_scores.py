"""Scores of a copy detector over a corpus with truth: ranking, recall per edit, and what merging would lose.

Dimensions: N images, P scored pairs.
"""

from __future__ import annotations

import csv
from collections import defaultdict
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
    """Pairs with a similarity, best first. Shapes: [P] each."""

    a: np.ndarray
    b: np.ndarray
    score: np.ndarray


def score_pairs(truth: Truth, pairs: ScoredPairs, threshold: float | None) -> dict[str, object]:
    """Micro-average precision, recall at precisions, and what happens at the tool's own threshold."""
    order = np.argsort(-pairs.score, kind="stable")
    a, b, score = pairs.a[order], pairs.b[order], pairs.score[order]
    right = truth.group[a] == truth.group[b]
    # Equal scores are one block: the order within it is luck.
    last = np.flatnonzero(np.append(np.diff(score) != 0, True))
    found = np.cumsum(right)[last]
    precision, recall = found / (last + 1), found / truth.positives
    result: dict[str, object] = {
        "micro_ap": round(float((np.diff(recall, prepend=0) * precision).sum()), 4),
        "recall_at_p99": _recall_at(precision, recall, 0.99),
        "recall_at_p999": _recall_at(precision, recall, 0.999),
    }
    if threshold is not None:
        keep = score > threshold
        result["at_default"] = {"threshold": threshold, **_at(truth, a[keep], b[keep], right[keep])}
    return result


def _recall_at(precision: np.ndarray, recall: np.ndarray, least: float) -> float:
    good = precision >= least
    return round(float(recall[good].max(initial=0)), 4)


def _at(truth: Truth, a: np.ndarray, b: np.ndarray, right: np.ndarray) -> dict[str, object]:
    labels = connected_components(len(truth.paths), a, b)
    members: dict[int, list[int]] = defaultdict(list)
    for image, label in enumerate(labels.tolist()):
        members[label].append(image)
    mixed = [group for group in members.values() if len(set(truth.group[group].tolist())) > 1]
    kept_groups = {int(truth.group[group[0]]) for group in members.values()}
    original_of = {int(truth.group[i]): int(i) for i in np.flatnonzero(truth.original)}
    linked = set(zip(np.minimum(a, b).tolist(), np.maximum(a, b).tolist(), strict=True))
    per_edit: dict[str, list[bool]] = defaultdict(list)
    for image in np.flatnonzero(truth.copy).tolist():
        original = original_of[int(truth.group[image])]
        per_edit[truth.edit[image]].append((min(image, original), max(image, original)) in linked)
    hits = [hit for found in per_edit.values() for hit in found]
    return {
        "precision": round(float(right.mean()) if len(right) else 1.0, 4),
        "recall": round(float(right.sum() / truth.positives), 4),
        "copy_recall": round(float(np.mean(hits)), 4),
        "kept": len(members),
        "ideal": int(truth.group.max()) + 1,
        "false_merges": len(mixed),
        "pictures_that_may_be_lost": int(truth.group.max()) + 1 - len(kept_groups),
        "largest": max(len(group) for group in members.values()),
        "per_edit": {edit: round(float(np.mean(found)), 3) for edit, found in sorted(per_edit.items())},
    }
