"""From pairs to decisions: groups, the kept image of each, and a reason per image.

Reasons: `representative: of 3 images` | `near_duplicate: of KEY, cosine 0.931` | `reference: SET[, SET ...]`.
Only images that are in a group of two or more, or that leave, have a row: every other image is kept.

Dimensions: N images (rows of the store).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contracts.tables import GROUPS
from curation.dedup.config import DedupConfig
from curation.dedup.grouping import group_pairs
from curation.dedup.relative import near_reference
from curation.dedup.representative import representatives
from curation.index.join import Pairs
from curation.index.mirror_cosine import pair_cosines

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Pool:
    """The embedded images. `priority[i]`: place of image i in the order of keeping."""

    keys: pa.Array
    vectors: NDArray[np.floating[Any]]
    odd_dims: int
    priority: Ints

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True)
class Decision:
    """Shapes: labels, named, size int64 [N]; kept bool [N]; leaving: set name -> bool [N].

    `named[i]`: row of the image that names i's group: its representative, or the one that it would have been.
    """

    labels: Ints
    named: Ints
    size: Ints
    kept: NDArray[np.bool_]
    leaving: Mapping[str, NDArray[np.bool_]]


def decide(
    pool: Pool,
    pairs: Pairs,
    reference_pairs: Mapping[str, Pairs],
    settings: DedupConfig,
    threshold: float,
    against_threshold: float,
) -> Decision:
    """Group the pool, remove what is near references, keep one image per group."""
    rows = len(pool)
    labels = group_pairs(
        pairs.above(threshold),
        rows,
        settings.components,
        pool.priority,
        settings.neighbors,
        settings.max_component,
    )
    leaving = {
        name: near_reference(pairs, found, rows, against_threshold, settings.against_rule)
        for name, found in reference_pairs.items()
    }
    out = np.zeros(rows, np.bool_)
    for gone in leaving.values():
        out |= gone
    kept_row = representatives(labels, pool.priority, ~out)
    named = np.where(kept_row >= 0, kept_row, representatives(labels, pool.priority, np.ones(rows, np.bool_)))
    size = np.bincount(labels, minlength=rows)[labels]
    return Decision(labels, named, size, kept_row == np.arange(rows), leaving)


def groups_table(pool: Pool, decision: Decision) -> pa.Table:
    """The decisions as the table that the workspace keeps."""
    out = np.zeros(len(pool), np.bool_)
    for gone in decision.leaving.values():
        out |= gone
    rows = np.flatnonzero((decision.size > 1) | out)
    named = decision.named[rows]
    cosine = pair_cosines(pool.vectors, pool.vectors, rows, named, pool.odd_dims)
    ids = pool.keys.take(pa.array(named))
    reasons = _reasons(decision, rows, ids, cosine)
    return pa.table(
        {
            "key": pool.keys.take(pa.array(rows)),
            "group_id": ids,
            "group_size": pa.array(decision.size[rows], pa.int32()),
            "kept": pa.array(decision.kept[rows]),
            "reason": reasons,
        },
        schema=GROUPS.schema,
    )


def _reasons(decision: Decision, rows: Ints, ids: pa.Array, cosine: NDArray[np.floating[Any]]) -> pa.Array:
    """Why each of these rows stays or leaves."""
    told = pa.array(np.char.mod("%.3f", cosine).astype(str))
    near = pc.binary_join_element_wise(pc.binary_join_element_wise("near_duplicate: of ", ids, ""), told, ", cosine ")
    size = pa.array(decision.size[rows]).cast(pa.string())
    alone = pc.binary_join_element_wise("representative: of ", size, " images", "")
    reasons = pc.if_else(pa.array(decision.kept[rows]), alone, near)
    named = np.zeros(len(rows), np.bool_)
    for name, gone in decision.leaving.items():
        more = pc.binary_join_element_wise(reasons, name, ", ")
        told = pc.if_else(pa.array(named), more, f"reference: {name}")
        reasons = pc.if_else(pa.array(gone[rows]), told, reasons)
        named |= gone[rows]
    return reasons
