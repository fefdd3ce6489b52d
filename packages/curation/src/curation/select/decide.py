"""The decision over every image of the pool: kept or dropped, by which step, for which reason.

A pure function of what the steps found, so that it can be made again at any time:

| order | step | kept because | dropped because |
|---|---|---|---|
| 1 | ingest | `unique` | `quarantined: CODE` |
| 2 | filter | | `filtered: blur 12.3 below 20` |
| 3 | dedup | `representative: of 3 images` | `near_duplicate: of KEY, cosine 0.93`, `same_hash: of KEY` |
| | | | `reference: SET` |
| 4 | retrieve | `retrieved: SEED[, SEED]` | `not_retrieved: by SEED[, SEED]`, `capped: SEED` |
| 5 | retrieve | `as_is: SEED` (also what an earlier step dropped) | |
| 6 | override | `by_hand: NOTE` (not what is quarantined) | `by_hand: NOTE` |

Merges and splits by hand change the groups that step 3 is given (select/regroup.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from contracts.tables import SELECTION
from curation.select.overrides import DECIDING

AS_IS = "as_is"


@dataclass(frozen=True)
class SeedRows:
    """What one seed set brought. `restricts`: images that no seed brought leave the dataset.

    `rows`: table of contracts.tables.RETRIEVAL. `capped`: keys that were drawn and then cut by the seed's limit.
    """

    seed: str
    rows: pa.Table
    restricts: bool
    capped: pa.Array


def decide_selection(
    catalog: pa.Table,
    groups: pa.Table | None,
    seeds: Sequence[SeedRows],
    filtered: pa.Table | None = None,
    overrides: pa.Table | None = None,
) -> pa.Table:
    """One row per key of the catalogue (table of contracts.tables.SELECTION, unsorted).

    `catalog`: columns key, status, error, a row per occurrence; rows without a key (unreadable bytes) have no say.
    `filtered`: columns key, reason of the images that filters drop. `overrides`: decisions by hand.
    """
    table = _status_per_key(catalog)
    keys = table.column("key").combine_chunks()
    kept, reason = pc.is_null(table.column("error")).combine_chunks(), table.column("reason").combine_chunks()
    step = pa.array(["ingest"] * len(keys), pa.string())
    if filtered is not None:
        place = pc.index_in(keys, value_set=_column(filtered, "key"))
        judged = pc.and_(kept, pc.is_valid(place))
        reason = pc.if_else(judged, pc.take(_column(filtered, "reason"), place), reason)
        step = pc.if_else(judged, "filter", step)
        kept = pc.and_(kept, pc.is_null(place))
    if groups is not None:
        place = pc.index_in(keys, value_set=_column(groups, "key"))
        judged = pc.and_(kept, pc.is_valid(place))
        reason = pc.if_else(judged, pc.take(_column(groups, "reason"), place), reason)
        step = pc.if_else(judged, "dedup", step)
        kept = pc.and_(kept, pc.fill_null(pc.take(_column(groups, "kept"), place), True))
    if any(seed.restricts for seed in seeds):
        brought = _names_per_key(keys, [(s.seed, _keys_of(s, as_is=False)) for s in seeds if s.restricts])
        cut = _names_per_key(keys, [(s.seed, s.capped) for s in seeds if s.restricts])
        asked = ", ".join(sorted(s.seed for s in seeds if s.restricts))
        missed = pc.if_else(
            pc.is_valid(cut), pc.binary_join_element_wise("capped: ", cut, ""), f"not_retrieved: by {asked}"
        )
        found = pc.binary_join_element_wise("retrieved: ", brought, "")
        step = pc.if_else(kept, "retrieve", step)
        reason = pc.if_else(kept, pc.if_else(pc.is_valid(brought), found, missed), reason)
        kept = pc.and_(kept, pc.is_valid(brought))
    own = _names_per_key(keys, [(s.seed, _keys_of(s, as_is=True)) for s in seeds])
    reason = pc.if_else(pc.is_valid(own), pc.binary_join_element_wise("as_is: ", own, ""), reason)
    step = pc.if_else(pc.is_valid(own), "retrieve", step)
    kept = pc.or_(kept, pc.is_valid(own))
    if overrides is not None and overrides.num_rows:
        kept, reason, step = _by_hand(table, overrides, (kept, reason, step))
    return pa.table({"key": keys, "kept": kept, "reason": reason, "step": step}).cast(
        pa.schema([pa.field(f.name, f.type, f.nullable) for f in SELECTION.schema])
    )


def _by_hand(table: pa.Table, overrides: pa.Table, decided: tuple[pa.Array, pa.Array, pa.Array]) -> list[pa.Array]:
    """kept, reason and step after `keep` and `drop` by hand. `table`: columns key, error (null: not quarantined)."""
    action = pc.cast(overrides.column("action"), pa.string())
    said = overrides.filter(pc.is_in(action, value_set=pa.array(DECIDING)))
    place = pc.index_in(table.column("key"), value_set=_column(said, "key")).combine_chunks()
    valid = pc.and_(pc.is_valid(place), pc.is_null(table.column("error").combine_chunks()))
    note = _column(said, "note")
    told = pc.if_else(pc.equal(note, ""), "by_hand", pc.binary_join_element_wise("by_hand: ", note, ""))
    new = (pc.equal(_column(said, "action"), "keep"), told, pa.array(["override"] * said.num_rows, pa.string()))
    return [pc.if_else(valid, pc.take(ours, place), theirs) for ours, theirs in zip(new, decided, strict=True)]


def _status_per_key(catalog: pa.Table) -> pa.Table:
    """A row per key: error null if any occurrence is ok, and the reason that follows."""
    text = pc.cast(catalog.column("error"), pa.string())
    ok = pc.equal(pc.cast(catalog.column("status"), pa.string()), "ok")
    table = pa.table({"key": catalog.column("key"), "bad": pc.invert(ok), "error": pc.if_else(ok, None, text)})
    table = table.filter(pc.is_valid(table.column("key"))).sort_by([("key", "ascending"), ("bad", "ascending")])
    first = table.group_by("key", use_threads=False).aggregate([("bad", "first"), ("error", "first")])
    error = pc.if_else(first.column("bad_first"), pc.fill_null(first.column("error_first"), "unknown"), None)
    code = pc.struct_field(pc.extract_regex(error, r"^(?P<code>[^:]*)"), "code")
    reason = pc.if_else(pc.is_valid(error), pc.binary_join_element_wise("quarantined: ", code, ""), "unique")
    return pa.table({"key": first.column("key"), "error": error, "reason": reason})


def _column(table: pa.Table, name: str) -> pa.Array:
    column = table.column(name).combine_chunks()
    return pc.cast(column, column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _keys_of(seed: SeedRows, *, as_is: bool) -> pa.Array:
    own = pc.equal(pc.cast(seed.rows.column("mode"), pa.string()), AS_IS)
    return _column(seed.rows.filter(own if as_is else pc.invert(own)), "key")


def _names_per_key(keys: pa.Array, sets: Sequence[tuple[str, pa.Array]]) -> pa.Array:
    """Names of the sets that hold a key, joined by comma; null where none does. Shapes: [N] -> [N]."""
    names: pa.Array = pa.nulls(len(keys), pa.string())
    for name, members in sorted(sets, key=lambda item: item[0]):
        if not len(members):
            continue
        held = pc.is_in(keys, value_set=members)
        names = pc.if_else(
            held, pc.if_else(pc.is_valid(names), pc.binary_join_element_wise(names, name, ", "), name), names
        )
    return names
