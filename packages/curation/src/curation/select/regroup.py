"""Groups of duplicates as a person changed them: merges and splits, in the order in which they were said.

A pure function of what dedup found and of the decisions by hand. Only groups that a decision names are touched, so the
work goes with the number of decisions, not of images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from contracts.tables import GROUPS
from curation.select.overrides import GROUPING

Row = dict[str, Any]
# Of an image: (filtered, -pixels, -bytes, key). The lowest of a group is kept, as dedup does it.
KeepingOrder = Mapping[str, tuple[bool, int, int, str]]


def regroups(overrides: pa.Table) -> pa.Table:
    """The merges and splits among decisions by hand, in order of time, then of key."""
    kind = pc.is_in(pc.cast(overrides.column("action"), pa.string()), value_set=pa.array(GROUPING))
    return overrides.filter(kind).sort_by([("at", "ascending"), ("key", "ascending")])


def touched_rows(groups: pa.Table, changes: pa.Table) -> pa.Table:
    """Rows of all groups that a merge or split names."""
    named = pa.concat_arrays([changes.column(name).combine_chunks().drop_null() for name in ("key", "into")])
    mine = groups.filter(pc.is_in(groups.column("key"), value_set=named))
    return groups.filter(pc.is_in(groups.column("group_id"), value_set=mine.column("group_id").combine_chunks()))


def regroup(groups: pa.Table, changes: pa.Table, order: KeepingOrder) -> pa.Table:
    """The groups after the changes (see `regroups`). `order`: of every image that is touched; others are unknown to the
    catalogue and left out. Columns and types of contracts.tables.GROUPS."""
    touched = touched_rows(groups, changes)
    state = _Groups(touched.to_pylist(), order)
    for change in changes.select(["key", "action", "into"]).to_pylist():
        if change["key"] in order and change["action"] == "split":
            state.split(change["key"])
        elif change["key"] in order and change["into"] in order:
            state.merge(change["key"], change["into"])
    untouched = pc.invert(pc.is_in(groups.column("group_id"), value_set=touched.column("group_id").combine_chunks()))
    return pa.concat_tables([groups.filter(untouched), pa.Table.from_pylist(state.rows(), schema=GROUPS.schema)])


@dataclass
class _Group:
    """Images of one picture. `kept`: the one that stays, None when it has to be chosen or nothing may stay."""

    members: set[str]
    kept: str | None
    by_hand: bool = False


class _Groups:
    def __init__(self, rows: list[Row], order: KeepingOrder) -> None:
        self._order = order
        self._found = {row["key"]: row for row in rows}
        self._group: dict[str, _Group] = {}
        by_id: dict[str, _Group] = {}
        for row in rows:
            group = by_id.setdefault(row["group_id"], _Group(set(), None))
            group.members.add(row["key"])
            group.kept = row["key"] if row["kept"] else group.kept
            self._group[row["key"]] = group

    def _of(self, key: str) -> _Group:
        return self._group.setdefault(key, _Group({key}, key))

    def split(self, key: str) -> None:
        """The image alone."""
        left = self._of(key)
        if len(left.members) > 1:
            left.members.discard(key)
            left.by_hand = True
            left.kept = None if left.kept == key else left.kept
            self._group[key] = _Group({key}, None, by_hand=True)

    def merge(self, key: str, into: str) -> None:
        """The image's group into another; that one keeps its kept image, or takes over this one's if it has none."""
        gone, group = self._of(key), self._of(into)
        if gone is group:
            return
        group.members |= gone.members
        group.kept, group.by_hand = group.kept or gone.kept, True
        for member in gone.members:
            self._group[member] = group

    def rows(self) -> list[Row]:
        """All groups as rows; an image alone has one when a decision or a reference set says something of it."""
        rows: list[Row] = []
        for group in {id(group): group for group in self._group.values()}.values():
            rows += self._rows_of(group)
        return rows

    def _rows_of(self, group: _Group) -> list[Row]:
        if not group.by_hand:
            return [self._found[key] for key in group.members if key in self._found]
        free = [key for key in group.members if not self._is_reference(key) and key in self._order]
        kept = group.kept if group.kept in free else min(free, key=self._order.__getitem__, default=None)
        name = kept or min(group.members)
        size = len(group.members)
        return [
            {
                "key": key,
                "group_id": name,
                "group_size": size,
                "kept": key == kept,
                "reason": self._reason(key, kept, size),
            }
            for key in sorted(group.members)
        ]

    def _is_reference(self, key: str) -> bool:
        return key in self._found and self._found[key]["reason"].startswith("reference:")

    def _reason(self, key: str, kept: str | None, size: int) -> str:
        if self._is_reference(key):
            return str(self._found[key]["reason"])
        if key == kept:
            return f"representative: of {size} images, by hand" if size > 1 else "split: from its group, by hand"
        found = self._found.get(key)
        if found and kept and found["reason"].startswith(f"near_duplicate: of {kept},"):
            return str(found["reason"])
        return f"near_duplicate: of {kept}, by hand"
