"""The composition table: what the dataset is made of, like table 15 of the DINOv2 paper. Its rows add up.

`retrieved`: rows that the seed brought before union with the others (the paper's nominal count);
`images`: images of the dataset that are credited to this row, each image once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import pyarrow as pa

from curation.write.attribution import MODES


@dataclass(frozen=True)
class SeedCounts:
    """What one seed set brought: images of the seed set itself, and rows by mode (as_is, sample, cluster)."""

    seed: str
    seed_images: int
    rows: dict[str, int]


@dataclass(frozen=True)
class Part:
    """A row of the table. `seed` None: the deduplicated pool itself. `retrieved` None where nothing was retrieved."""

    origin: str
    seed: str | None
    mode: str | None
    seed_images: int | None
    retrieved: int | None
    images: int

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def composition(samples: pa.Table, seeds: Sequence[SeedCounts]) -> list[Part]:
    """Rows by seed and mode, then what came from the pool alone. `samples`: columns origin, seed, mode."""
    counts = samples.group_by(["seed", "mode"]).aggregate([([], "count_all")]).to_pylist()
    images = {(row["seed"], row["mode"]): int(row["count_all"]) for row in counts}
    parts = []
    for seed in sorted(seeds, key=lambda s: s.seed):
        for mode in MODES:
            if mode in seed.rows:
                own = mode == "as_is"
                retrieved = None if own else seed.rows[mode]
                origin = "seed" if own else "balanced" if mode == "balanced" else "retrieved"
                part = Part(origin, seed.seed, mode, seed.seed_images, retrieved, images.pop((seed.seed, mode), 0))
                parts.append(part)
    if alone := images.pop((None, None), 0):
        parts.append(Part("pool", None, None, None, None, alone))
    if images:
        raise ValueError(f"samples of {dict(images)} belong to no seed of the table")
    return parts
