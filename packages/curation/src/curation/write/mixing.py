"""Mixing weights: how large a share of the dataset each part gets. The largest mixture without repeating an image.

A part is what a seed set brought (its own images and what was retrieved, under its name) or `pool`, what no seed
brought. Weights 3 and 1 for parts of 900 and 100 images give 300 and 100: no part is stretched.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contracts.errors import UserError, nearest_name

POOL = "pool"


def mix(samples: pa.Table, weights: Mapping[str, float], random_seed: int) -> pa.Table:
    """A seeded sample of each part, in proportion to the weights; everything when there are none.

    `samples`: rows of write.samples, sorted by key. Errors: UserError when the weights name other parts than there are.
    """
    if not weights:
        return samples
    names = pc.fill_null(samples.column("seed"), POOL)
    sizes = {row["values"]: int(row["counts"]) for row in pc.value_counts(names).to_pylist()}
    _check(set(sizes), weights)
    counts = mixed_counts(sizes, weights)
    chosen = []
    for place, name in enumerate(sorted(counts)):
        rows = np.flatnonzero(pc.equal(names, name).to_numpy(zero_copy_only=False))
        chosen.append(np.random.default_rng([random_seed, place]).choice(rows, counts[name], replace=False))
    return samples.take(pa.array(np.sort(np.concatenate(chosen))))


def mixed_counts(sizes: Mapping[str, int], weights: Mapping[str, float]) -> dict[str, int]:
    """Images of each part: the largest numbers in the proportion of the weights that the parts can give."""
    scale = min(sizes[name] / weight for name, weight in weights.items() if weight > 0)
    return {name: min(sizes[name], round(scale * weight)) for name, weight in weights.items()}


def _check(parts: set[str], weights: Mapping[str, float]) -> None:
    for name in weights:
        if name not in parts:
            raise UserError(f"the mixing weights name {name!r}, which brought no image ({nearest_name(name, parts)})")
    if missing := sorted(parts - weights.keys()):
        raise UserError(f"the mixing weights say nothing of {missing[0]!r}: give every part a weight, 0 leaves it out")
    if not any(weight > 0 for weight in weights.values()):
        raise UserError("all mixing weights are 0: give at least one part a weight above 0")
