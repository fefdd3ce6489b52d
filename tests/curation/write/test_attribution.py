from __future__ import annotations

import pyarrow as pa

from contracts.tables import RETRIEVAL
from curation.write.attribution import attribute


def brought(seed: str, mode: str, *rows: tuple[str, float]) -> pa.Table:
    """Rows (key, cosine) of one seed."""
    count = len(rows)
    query = [f"q-{seed}" if mode == "sample" else None] * count
    return pa.table(
        {
            "key": pa.array([key for key, _ in rows], pa.string()),
            "seed": pa.array([seed] * count, pa.string()),
            "mode": pa.array([mode] * count, pa.string()),
            "query_key": pa.array(query, pa.string()),
            "cluster_id": pa.array([0 if mode == "cluster" else None] * count, pa.int32()),
            "cosine": pa.array([cosine for _, cosine in rows], pa.float32()),
            "rank": pa.array([0] * count, pa.int32()),
        }
    ).cast(RETRIEVAL.schema)


def credited(*tables: pa.Table) -> dict[str, tuple[str, str, str | None]]:
    return {r["key"]: (r["seed"], r["mode"], r["query_key"]) for r in attribute(tables).to_pylist()}


def test_each_image_is_credited_once_and_the_highest_cosine_wins() -> None:
    found = credited(brought("b", "sample", ("x", 0.9), ("y", 0.2)), brought("a", "sample", ("x", 0.5), ("y", 0.4)))
    assert found == {"x": ("b", "sample", "q-b"), "y": ("a", "sample", "q-a")}


def test_as_it_is_before_a_query_before_a_cluster() -> None:
    tables = [
        brought("c", "cluster", ("x", 0.99), ("y", 0.99), ("z", 0.1)),
        brought("s", "sample", ("x", 0.2), ("y", 0.2)),
        brought("own", "as_is", ("x", 1.0)),
    ]
    assert credited(*tables) == {"x": ("own", "as_is", None), "y": ("s", "sample", "q-s"), "z": ("c", "cluster", None)}
    assert credited(*reversed(tables)) == credited(*tables)


def test_the_name_decides_between_equals() -> None:
    assert credited(brought("b", "sample", ("x", 0.5)), brought("a", "sample", ("x", 0.5)))["x"][0] == "a"


def test_nothing_brought_gives_no_rows() -> None:
    assert attribute([]).num_rows == 0
