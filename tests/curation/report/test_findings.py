from __future__ import annotations

import pyarrow as pa

from contracts.tables import GROUPS, RETRIEVAL
from curation.report.findings import group_sizes, largest_groups, pairs_around, quarantined, retrieval_examples


def test_quarantine_counts_by_code_with_examples() -> None:
    catalog = pa.table(
        {
            "uri": ["d", "c", "b", "a"],
            "status": ["ok", "quarantined", "quarantined", "quarantined"],
            "error": [None, "truncated: at 7", "empty", "truncated: at 9"],
        }
    )
    found = quarantined(catalog, examples=1)
    assert [(row.code, row.count, row.examples) for row in found] == [
        ("truncated", 2, [("a", "at 9")]),
        ("empty", 1, [("b", "")]),
    ]


def groups() -> pa.Table:
    rows = [
        ("b", "b", 3, True),
        ("a", "b", 3, False),
        ("c", "b", 3, False),
        ("d", "e", 2, False),
        ("e", "e", 2, True),
        ("f", "f", 1, False),
    ]
    names = ("key", "group_id", "group_size", "kept")
    columns = {name: [row[n] for row in rows] for n, name in enumerate(names)}
    return pa.table({**columns, "reason": ["x"] * len(rows)}, schema=GROUPS.schema)


def test_groups_by_size_and_the_largest_with_the_kept_image_first() -> None:
    assert group_sizes(groups()) == [(2, 1), (3, 1)]
    largest, second = largest_groups(groups(), count=5, members=2)
    assert (largest.size, largest.keys, largest.kept) == (3, ["b", "a"], "b")
    assert second.keys == ["e", "d"]
    assert [group.size for group in largest_groups(groups(), count=1, members=2)] == [3]


def test_pairs_nearest_to_the_threshold_on_both_sides() -> None:
    cosines = [0.1, 0.59, 0.5, 0.61, 0.9, 0.6]
    pairs = pa.table({"key_a": list("abcdef"), "key_b": list("ghijkl"), "cosine": pa.array(cosines, pa.float32())})
    below, above = pairs_around(pairs, 0.605, 2)
    assert [pair.key_a for pair in below] == ["f", "b"]
    assert [pair.key_a for pair in above] == ["d", "e"]


def test_examples_are_spread_from_near_to_far_and_leave_out_seeds_as_they_are() -> None:
    cosine = [0.9, 0.8, 0.7, 0.6, 0.5, 1.0]
    query = ["q1", "q1", "q2", "q3", "q3", None]
    rows = pa.table(
        {
            "key": list("abcdef"),
            "seed": ["s"] * 6,
            "mode": ["sample"] * 5 + ["as_is"],
            "query_key": query,
            "cluster_id": pa.nulls(6, pa.int32()),
            "cosine": pa.array(cosine, pa.float32()),
            "rank": pa.array([0] * 6, pa.int32()),
        }
    ).cast(RETRIEVAL.schema)
    found = retrieval_examples(rows, queries=2, images=1)
    assert [(q.query_key, [key for key, _ in q.brought]) for q in found] == [("q1", ["a"]), ("q3", ["d"])]
    assert retrieval_examples(rows.slice(5), 2, 1) == []
