from __future__ import annotations

import pyarrow as pa

from contracts.tables import GROUPS, RETRIEVAL
from curation.select.decide import SeedRows, decide_selection


def catalog(**status: str) -> pa.Table:
    """One occurrence per key; the value is `ok` or an error."""
    return pa.table(
        {
            "key": list(status),
            "status": ["ok" if s == "ok" else "quarantined" for s in status.values()],
            "error": pa.array([None if s == "ok" else s for s in status.values()], pa.string()),
        }
    )


def groups(*rows: tuple[str, str, bool, str]) -> pa.Table:
    return pa.table(
        {
            "key": [r[0] for r in rows],
            "group_id": [r[1] for r in rows],
            "group_size": pa.array([2] * len(rows), pa.int32()),
            "kept": [r[2] for r in rows],
            "reason": [r[3] for r in rows],
        },
        schema=GROUPS.schema,
    )


def seed(name: str, *keys: str, mode: str = "sample", capped: tuple[str, ...] = ()) -> SeedRows:
    rows = pa.table(
        {
            "key": pa.array(keys, pa.string()),
            "seed": [name] * len(keys),
            "mode": [mode] * len(keys),
            "query_key": pa.nulls(len(keys), pa.string()),
            "cluster_id": pa.nulls(len(keys), pa.int32()),
            "cosine": pa.array([0.5] * len(keys), pa.float32()),
            "rank": pa.array([0] * len(keys), pa.int32()),
        }
    ).cast(RETRIEVAL.schema)
    return SeedRows(name, rows, mode != "as_is", pa.array(capped, pa.string()))


def decided(*arguments: object) -> dict[str, tuple[bool, str, str]]:
    table = decide_selection(*arguments)  # type: ignore[arg-type]
    return {row["key"]: (row["kept"], row["step"], row["reason"]) for row in table.to_pylist()}


def test_without_dedup_and_retrieval_every_readable_image_is_kept() -> None:
    found = decided(catalog(a="ok", b="truncated: at byte 7"), None, [])
    assert found == {"a": (True, "ingest", "unique"), "b": (False, "ingest", "quarantined: truncated")}


def test_occurrences_without_key_have_no_row_and_a_key_with_one_good_occurrence_is_good() -> None:
    table = pa.table(
        {
            "key": pa.array(["a", None, "a"], pa.string()),
            "status": ["quarantined", "quarantined", "ok"],
            "error": pa.array(["too_small: 3 px", "unreadable: gone", None], pa.string()),
        }
    )
    assert decided(table, None, []) == {"a": (True, "ingest", "unique")}


def test_dedup_reasons_come_from_the_groups() -> None:
    table = groups(
        ("a", "a", True, "representative: of 2 images"), ("b", "a", False, "near_duplicate: of a, cosine 0.9")
    )
    found = decided(catalog(a="ok", b="ok", c="ok"), table, [])
    assert found["a"] == (True, "dedup", "representative: of 2 images")
    assert found["b"] == (False, "dedup", "near_duplicate: of a, cosine 0.9")
    assert found["c"] == (True, "ingest", "unique")


def test_retrieval_keeps_what_any_seed_brought() -> None:
    found = decided(
        catalog(a="ok", b="ok", c="ok", d="ok"), None, [seed("s2", "a", "b"), seed("s1", "b", capped=("d",))]
    )
    assert found["a"] == (True, "retrieve", "retrieved: s2")
    assert found["b"] == (True, "retrieve", "retrieved: s1, s2")
    assert found["c"] == (False, "retrieve", "not_retrieved: by s1, s2")
    assert found["d"] == (False, "retrieve", "capped: s1")


def test_retrieval_does_not_bring_back_what_dedup_or_ingest_dropped() -> None:
    table = groups(
        ("a", "a", True, "representative: of 2 images"), ("b", "a", False, "near_duplicate: of a, cosine 0.9")
    )
    found = decided(catalog(a="ok", b="ok", c="truncated"), table, [seed("s", "a", "b", "c")])
    assert [found[k][0] for k in "abc"] == [True, False, False]
    assert found["b"][1] == "dedup"
    assert found["c"][1] == "ingest"


def test_seed_images_as_they_are_stay_and_do_not_restrict_the_pool() -> None:
    table = groups(
        ("a", "c", False, "near_duplicate: of c, cosine 0.9"), ("c", "c", True, "representative: of 2 images")
    )
    found = decided(catalog(a="ok", b="ok", c="ok"), table, [seed("s", "a", mode="as_is")])
    assert found["a"] == (True, "retrieve", "as_is: s")
    assert found["b"][0]
    assert found["c"][0]


def test_a_retrieval_that_found_nothing_drops_everything() -> None:
    assert decided(catalog(a="ok"), None, [seed("s")])["a"] == (False, "retrieve", "not_retrieved: by s")


def test_filters_come_after_quarantine_and_before_dedup() -> None:
    filtered = pa.table({"key": ["a", "b"], "reason": ["filtered: blur 1 below 20", "filtered: blur 2 below 20"]})
    table = groups(
        ("a", "c", False, "near_duplicate: of c, cosine 0.9"), ("c", "c", True, "representative: of 2 images")
    )
    found = decided(catalog(a="ok", b="truncated", c="ok", d="ok"), table, [seed("s", "a", "c")], filtered)
    assert found["a"] == (False, "filter", "filtered: blur 1 below 20")
    assert found["b"] == (False, "ingest", "quarantined: truncated")
    assert found["c"] == (True, "retrieve", "retrieved: s")
    assert found["d"][0] is False
