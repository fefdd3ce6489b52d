"""selection.parquet: made from what the steps wrote, whenever one of them wrote something new."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from contracts.publish import remove_drafts
from contracts.tables import GROUPS, SELECTION, empty_table, read_table, write_table
from curation.catalog import read_catalog, unique_images
from curation.filters.filter_files import filtered_keys, read_filtered
from curation.retrieve.retrieval_files import read_retrievals
from curation.select.decide import SeedRows, decide_selection
from curation.select.overrides import read_overrides
from curation.select.regroup import KeepingOrder, regroup, regroups, touched_rows


class WorkspaceFiles(Protocol):
    """What a workspace must tell: where the catalogue, the results of the steps and the selection are."""

    @property
    def catalog(self) -> Path: ...
    @property
    def filters(self) -> Path: ...
    @property
    def dedup(self) -> Path: ...
    @property
    def retrieval(self) -> Path: ...
    @property
    def overrides(self) -> Path: ...
    @property
    def selection(self) -> Path: ...


@dataclass(frozen=True)
class SelectionReport:
    """Counts of images (keys). `dropped`: by the first word of the reason. catalogued = kept + sum of dropped."""

    catalogued: int
    kept: int
    dropped: dict[str, int]

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)


def recompute_selection(files: WorkspaceFiles) -> SelectionReport:
    """Decide over every catalogued image and publish the table; unchanged decisions leave the file as it is."""
    remove_drafts(files.selection.parent)
    table = decide_selection(
        read_catalog(files.catalog, columns=["key", "status", "error"]),
        read_groups(files),
        [
            SeedRows(found.report.seed, found.rows, found.report.restricts, found.capped)
            for found in read_retrievals(files.retrieval)
        ],
        read_filtered(files.filters),
        read_overrides(files.overrides),
    ).sort_by("key")
    if not _is_current(files.selection, table):
        write_table(files.selection, table, SELECTION)
    return count_selection(table)


def read_groups(files: WorkspaceFiles) -> pa.Table | None:
    """Groups of duplicates, with merges and splits by hand; None before dedup and without any of those."""
    file = files.dedup / "groups.parquet"
    changes = regroups(read_overrides(files.overrides))
    if not changes.num_rows:
        return read_table(file, GROUPS) if file.is_file() else None
    groups = read_table(file, GROUPS) if file.is_file() else empty_table(GROUPS)
    return regroup(groups, changes, _keeping_order(files, groups, changes))


def _keeping_order(files: WorkspaceFiles, groups: pa.Table, changes: pa.Table) -> KeepingOrder:
    """Which image of a group is kept, for the images that merges and splits touch: the rule of dedup."""
    named = [changes.column(name).combine_chunks().drop_null() for name in ("key", "into")]
    keys = pa.concat_arrays([*named, touched_rows(groups, changes).column("key").combine_chunks()])
    images = unique_images(files.catalog, ("width_px", "height_px", "byte_count"))
    images = images.filter(pc.is_in(images.column("key"), value_set=keys))
    dropped = pc.is_in(images.column("key"), value_set=filtered_keys(files.filters)).to_pylist()
    return {
        row["key"]: (gone, -row["width_px"] * row["height_px"], -row["byte_count"], row["key"])
        for row, gone in zip(images.to_pylist(), dropped, strict=True)
    }


def count_selection(table: pa.Table) -> SelectionReport:
    """Kept and dropped by reason."""
    dropped = table.filter(pc.invert(table.column("kept")))
    words = pc.struct_field(pc.extract_regex(pc.cast(dropped.column("reason"), pa.string()), r"^(?P<w>[^:]*)"), "w")
    counts = {row["values"]: row["counts"] for row in pc.value_counts(words).to_pylist()}
    return SelectionReport(table.num_rows, table.num_rows - dropped.num_rows, dict(sorted(counts.items())))


def _is_current(file: Path, table: pa.Table) -> bool:
    if not file.is_file():
        return False
    return bool(read_table(file, SELECTION).equals(table))
