from __future__ import annotations

import pyarrow as pa
import pytest

from curation.write.shard_plan import plan_shards, shard_count


@pytest.mark.parametrize(
    ("samples", "image_bytes", "shards"),
    [(0, 0, 0), (1, 10, 1), (100, 10, 1), (101, 10, 2), (50, 1001, 2), (3, 10**9, 3)],
)
def test_neither_samples_nor_bytes_exceed_what_was_asked(samples: int, image_bytes: int, shards: int) -> None:
    assert shard_count(samples, image_bytes, max_samples=100, max_bytes=1000) == shards


def table(rows: int) -> pa.Table:
    return pa.table({"key": [f"{n:03d}" for n in range(rows)]})


def test_every_sample_once_in_even_shards() -> None:
    shards = plan_shards(table(103), 4, 0)
    assert sorted(len(shard) for shard in shards) == [25, 26, 26, 26]
    keys = [key for shard in shards for key in shard.column("key").to_pylist()]
    assert sorted(keys) == table(103).column("key").to_pylist()
    assert keys != sorted(keys)


def test_the_seed_decides_the_order() -> None:
    first, again, other = (plan_shards(table(50), 2, seed)[0].column("key").to_pylist() for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_no_samples_no_shards() -> None:
    assert plan_shards(table(0), 0, 0) == []
