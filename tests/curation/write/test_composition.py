from __future__ import annotations

import pyarrow as pa
import pytest

from curation.write.composition import SeedCounts, composition


def samples(*rows: tuple[str | None, str | None]) -> pa.Table:
    return pa.table(
        {
            "seed": pa.array([seed for seed, _ in rows], pa.string()),
            "mode": pa.array([mode for _, mode in rows], pa.string()),
        }
    )


def test_rows_add_up_to_the_samples() -> None:
    table = samples(("a", "sample"), ("a", "sample"), ("a", "as_is"), ("b", "cluster"), (None, None))
    parts = composition(table, [SeedCounts("b", 9, {"cluster": 7}), SeedCounts("a", 3, {"sample": 12, "as_is": 3})])
    assert sum(part.images for part in parts) == 5
    assert [(p.seed, p.mode, p.origin, p.seed_images, p.retrieved, p.images) for p in parts] == [
        ("a", "as_is", "seed", 3, None, 1),
        ("a", "sample", "retrieved", 3, 12, 2),
        ("b", "cluster", "retrieved", 9, 7, 1),
        (None, None, "pool", None, None, 1),
    ]


def test_a_seed_whose_images_all_went_to_others_keeps_its_row() -> None:
    parts = composition(
        samples(("a", "sample")), [SeedCounts("a", 1, {"sample": 1}), SeedCounts("b", 1, {"sample": 1})]
    )
    assert [(p.seed, p.images) for p in parts] == [("a", 1), ("b", 0)]


def test_a_sample_of_an_unknown_seed_is_our_bug() -> None:
    with pytest.raises(ValueError, match="belong to no seed"):
        composition(samples(("ghost", "sample")), [])
