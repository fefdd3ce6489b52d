"""selection.parquet: made from what the steps wrote, whenever one of them wrote something new."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from contracts.publish import remove_drafts
from contracts.tables import GROUPS, SELECTION, read_table, write_table
from curation.catalog import read_catalog
from curation.filters.filter_files import read_filtered
from curation.retrieve.retrieval_files import read_retrievals
from curation.select.decide import SeedRows, decide_selection


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
    ).sort_by("key")
    if not _is_current(files.selection, table):
        write_table(files.selection, table, SELECTION)
    return count_selection(table)


def read_groups(files: WorkspaceFiles) -> pa.Table | None:
    """Groups of duplicates; None before dedup."""
    file = files.dedup / "groups.parquet"
    return read_table(file, GROUPS) if file.is_file() else None


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
