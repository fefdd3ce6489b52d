from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pytest

from contracts.errors import UserError
from curation.write.mixing import mix, mixed_counts


def samples(**sizes: int) -> pa.Table:
    """Rows of parts; `pool` has no seed."""
    seeds = [None if name == "pool" else name for name, size in sizes.items() for _ in range(size)]
    return pa.table({"key": [f"{n:04d}" for n in range(len(seeds))], "seed": pa.array(seeds, pa.string())})


def test_the_largest_mixture_in_proportion() -> None:
    assert mixed_counts({"a": 900, "b": 100}, {"a": 3, "b": 1}) == {"a": 300, "b": 100}
    assert mixed_counts({"a": 900, "b": 100}, {"a": 0.5, "b": 0}) == {"a": 900, "b": 0}


def test_parts_are_cut_at_random_and_never_repeated() -> None:
    table = samples(a=60, b=30, pool=40)
    mixed = mix(table, {"a": 1, "b": 1, "pool": 0.5}, 0)
    assert Counter(mixed.column("seed").to_pylist()) == {"a": 30, "b": 30, None: 15}
    keys = mixed.column("key").to_pylist()
    assert keys == sorted(set(keys))
    assert mix(table, {"a": 1, "b": 1, "pool": 0.5}, 0).equals(mixed)
    assert not mix(table, {"a": 1, "b": 1, "pool": 0.5}, 1).equals(mixed)


def test_without_weights_everything_stays() -> None:
    assert mix(samples(a=3, pool=2), {}, 0).num_rows == 5


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ({"a": 1, "imagnet": 1}, "name 'imagnet'"),
        ({"a": 1}, "say nothing of 'pool'"),
        ({"a": 0, "pool": 0}, "all mixing weights are 0"),
    ],
)
def test_weights_that_do_not_fit_are_one_sentence(weights: dict[str, float], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        mix(samples(a=3, pool=2), weights, 0)
