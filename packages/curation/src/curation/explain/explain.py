"""Why an image is in or out: everything that the steps wrote about one key, read with filters, never a whole table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

Row = dict[str, Any]


@dataclass(frozen=True)
class WorkspaceFiles:
    """The tables to read; those that are not there have nothing to say."""

    catalog: Path
    sets: Path
    filters: Path
    derived: Path
    selection: Path
    groups: Path
    pairs: Path
    maybe: Path
    retrieval: Path
    manifest: Path
    overrides: Path
    regrouped: pa.Table | None = None  # the groups as merges and splits by hand left them, where there are any


@dataclass(frozen=True)
class Explanation:
    """All rows about one key.

    `occurrences`: rows of the catalogues, the pool's and those of image sets. `decision`: its row of the selection.
    `measured`: its row of the filters.
    `derived`: the image with blurred faces that the dataset holds in its place, if there is one.
    `group`: rows of its group of duplicates. `neighbors`: (key, cosine, maybe, kept, reason) of the images paired with
    it, nearest first; `maybe`: both are kept and may be the same.
    `retrieved`: rows of the retrieval tables. `sample`: its row of the manifest, if it has one.
    `by_hand`: what a person decided over it.
    """

    key: str
    occurrences: list[Row]
    decision: Row | None
    measured: Row | None = None
    derived: Row | None = None
    group: list[Row] = field(default_factory=list)
    neighbors: list[Row] = field(default_factory=list)
    retrieved: list[Row] = field(default_factory=list)
    sample: Row | None = None
    by_hand: list[Row] = field(default_factory=list)


def explain_key(key: str, files: WorkspaceFiles, neighbors: int = 10) -> Explanation:
    """Gather what is known of a key; `occurrences` is empty when the catalogue does not know it.

    The key of a derived image is explained as its original's.
    """
    derived = _one(rows_where(files.derived, "key", [key])) or _one(rows_where(files.derived, "original_key", [key]))
    key = derived["original_key"] if derived else key
    catalogs = [*sorted(files.catalog.glob("part-*.parquet")), *sorted(files.sets.glob("*/catalog/part-*.parquet"))]
    mine = _one(_group_rows(files, "key", key))
    group = _group_rows(files, "group_id", mine["group_id"]) if mine else []
    pairs = rows_where(files.pairs, "key_a", [key]) + rows_where(files.pairs, "key_b", [key])
    near = [(row["key_b"] if row["key_a"] == key else row["key_a"], row["cosine"]) for row in pairs]
    near = sorted(near, key=lambda item: (-item[1], item[0]))[:neighbors]
    doubtful = rows_where(files.maybe, "key_a", [key]) + rows_where(files.maybe, "key_b", [key])
    maybe = {row[side] for row in doubtful for side in ("key_a", "key_b")}
    decisions = {row["key"]: row for row in rows_where(files.selection, "key", [key, *(other for other, _ in near)])}
    retrieval = sorted(files.retrieval.glob("*.parquet")) if files.retrieval.is_dir() else []
    return Explanation(
        key=key,
        occurrences=[row for part in catalogs for row in rows_where(part, "key", [key])],
        decision=decisions.get(key),
        measured=_one(rows_where(files.filters, "key", [key])),
        derived=derived,
        group=group,
        neighbors=[
            {"key": other, "cosine": cosine, "maybe": other in maybe, **_fate(decisions.get(other))}
            for other, cosine in near
        ],
        retrieved=[row for table in retrieval for row in rows_where(table, "key", [key])],
        sample=_one(rows_where(files.manifest, "key", [key, derived["key"]] if derived else [key])),
        by_hand=rows_where(files.overrides, "key", [key]),
    )


def _group_rows(files: WorkspaceFiles, column: str, value: str) -> list[Row]:
    if files.regrouped is None:
        return rows_where(files.groups, column, [value])
    rows: list[Row] = files.regrouped.filter(pc.equal(files.regrouped.column(column), value)).to_pylist()
    return rows


def rows_where(file: Path, column: str, values: Sequence[str]) -> list[Row]:
    """Rows of a Parquet table whose column has one of the values; none when the file is not there."""
    if not file.is_file() or not values:
        return []
    rows: list[Row] = pq.read_table(file, filters=[(column, "in", pa.array(values, pa.string()))]).to_pylist()
    return rows


def _fate(decision: Row | None) -> Row:
    return {"kept": decision["kept"], "reason": decision["reason"]} if decision else {"kept": None, "reason": None}


def _one(rows: list[Row]) -> Row | None:
    return rows[0] if rows else None
