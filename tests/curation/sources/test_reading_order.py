from __future__ import annotations

import random

import pyarrow as pa

from curation.sources.reading_order import in_reading_order, reading_order

ORDERED = [
    "/a/1.jpg",
    "/a/b%23.jpg",
    "/a/t.parquet#2",
    "/a/t.parquet#10",
    "/a/t.parquet#101",
    "/a/x.tar#0/z.jpg",
    "/a/x.tar#1.jpg",
    "/a/x.tar#10.jpg",
    "/a/x.tar#2.jpg",
    "s3://b/y.tar#1.jpg",
]


def test_containers_lie_together_and_rows_count_as_numbers() -> None:
    mixed = random.Random(0).sample(ORDERED, len(ORDERED))
    assert sorted(mixed, key=reading_order) == ORDERED
    table = pa.table({"key": [str(ORDERED.index(uri)) for uri in mixed], "uri": mixed})
    found = in_reading_order(table)
    assert found.column("uri").to_pylist() == ORDERED
    assert found.column("key").to_pylist() == [str(place) for place in range(len(ORDERED))]


def test_dictionary_columns_and_no_rows_are_fine() -> None:
    uris = pa.array(ORDERED[::-1]).dictionary_encode()
    assert in_reading_order(pa.table({"uri": uris})).column("uri").to_pylist() == ORDERED
    assert in_reading_order(pa.table({"uri": pa.array([], pa.string())})).num_rows == 0
