"""The pre-pass by perceptual hash: who stands for a hash, and how its copies join the groups of what was compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from contracts.keys import KEY_LENGTH
from contracts.tables import CATALOG, GROUPS, conform, write_table
from curation.catalog import part_file
from curation.dedup.hash_prepass import same_hash, with_hash_copies


def key(letter: str) -> str:
    return letter * KEY_LENGTH


def catalogue(folder: Path, rows: list[tuple[str, int | None, int]]) -> Path:
    """Usable images of (letter, hash, width in px)."""
    table = pa.Table.from_pylist(
        [
            {
                **dict.fromkeys(CATALOG.schema.names),
                "key": key(letter),
                "uri": f"{letter}.png",
                "source": "here",
                "byte_count": 10,
                "width_px": width,
                "height_px": 10,
                "phash": number,
                "status": "ok",
            }
            for letter, number, width in rows
        ],
        schema=CATALOG.schema,
    )
    folder.mkdir()
    write_table(part_file(folder, 0), table, CATALOG)
    return folder


def pairs(copies: pa.Table) -> dict[str, str]:
    return {row["key"][0]: row["of"][0] for row in copies.to_pylist()}


LARGE = 2**63  # hashes are unsigned
NOBODY = pa.array([], pa.string())


def test_the_largest_stands_for_a_hash_and_a_flat_picture_for_itself_alone(tmp_path: Path) -> None:
    rows = [("a", 7, 20), ("b", 7, 40), ("c", 9, 20), ("d", 0, 20), ("e", 0, 20), ("f", None, 5), ("9", 7, 30)]
    rows = [(letter, number and number + LARGE, width) for letter, number, width in rows]
    folder = catalogue(tmp_path / "catalog", rows)
    assert pairs(same_hash(folder, NOBODY)) == {"a": "b", "9": "b"}
    # What a filter drops stands for its hash only when all of it is dropped.
    assert pairs(same_hash(folder, pa.array([key("b")]))) == {"a": "9", "b": "9"}


def test_without_usable_hashes_there_are_no_copies(tmp_path: Path) -> None:
    assert same_hash(catalogue(tmp_path / "catalog", [("a", None, 5), ("d", 0, 5)]), NOBODY).num_rows == 0


def groups_of(*rows: tuple[str, str, int, bool, str]) -> pa.Table:
    names = GROUPS.schema.names
    values = [dict(zip(names, (key(k), key(g), *rest), strict=True)) for k, g, *rest in rows]
    return conform(pa.Table.from_pylist(values, pa.schema([f.with_nullable(True) for f in GROUPS.schema])), GROUPS)


@pytest.fixture
def groups() -> pa.Table:
    return groups_of(
        ("a", "a", 2, True, "representative: of 2 images"),
        ("b", "a", 2, False, "near_duplicate: of a, cosine 0.9"),
        ("c", "c", 1, False, "reference: eval"),
    )


def test_copies_join_the_group_of_their_picture_and_leave_with_it(groups: pa.Table) -> None:
    copies = pa.table({"key": [key(k) for k in "1234"], "of": [key(k) for k in "bcdd"]})
    rows = {row["key"][0]: row for row in conform(with_hash_copies(groups, copies), GROUPS).to_pylist()}
    told = {k: (row["group_id"][0], row["group_size"], row["kept"], row["reason"][:14]) for k, row in rows.items()}
    assert told == {
        "a": ("a", 3, True, "representative"),
        "b": ("a", 3, False, "near_duplicate"),
        "1": ("a", 3, False, "same_hash: of "),
        "c": ("c", 2, False, "reference: eva"),
        "2": ("c", 2, False, "reference: eva"),
        "d": ("d", 3, True, "representative"),
        "3": ("d", 3, False, "same_hash: of "),
        "4": ("d", 3, False, "same_hash: of "),
    }
    assert rows["a"]["reason"] == rows["d"]["reason"] == "representative: of 3 images"
    assert rows["1"]["reason"] == f"same_hash: of {key('b')}"
    assert int(np.sum([row["kept"] for row in rows.values()])) == 2


def test_without_copies_the_groups_stay_as_they_are(groups: pa.Table) -> None:
    none = pa.table({"key": NOBODY, "of": NOBODY})
    assert with_hash_copies(groups, none).equals(groups)
