"""`curate filter`: measure, judge, renew the selection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curation.config import CurateConfig
from curation.engine import Engine
from curation.filters.filter_files import filtered_keys
from curation.filters.filter_pool import FilterReport, filter_pool
from curation.select.selection import SelectionReport, read_groups, recompute_selection
from curation.workspace import Workspace

Say = Callable[[str], None]


@dataclass(frozen=True)
class FilterStepReport:
    """What the filters found, and the decisions after it."""

    filters: FilterReport
    selection: SelectionReport

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)

    def counts(self) -> dict[str, Any]:
        """What a person reads first."""
        found = self.filters.as_dict()
        return {name: value for name, value in found.items() if name != "bounds"}


def run_filter(workspace: Workspace, config: CurateConfig, engine: Engine, say: Say) -> FilterStepReport:
    """Filter the pool of a workspace. Errors: MissingInput (no catalogue)."""
    workspace.require_catalog()
    found = filter_pool(workspace.catalog, workspace.filters, config.filters, config.ingest.limits, engine)
    if found.unmeasured:
        say(f"{found.unmeasured:,} images could not be read again and were not measured")
    if lost := _groups_to_decide_again(workspace):
        say(f"{lost:,} groups of copies kept an image that is filtered out now: run `curate dedup` again")
    return FilterStepReport(found, recompute_selection(workspace))


def _groups_to_decide_again(workspace: Workspace) -> int:
    """Groups whose representative is filtered out while another of their images is not."""
    groups = read_groups(workspace)
    if groups is None:
        return 0
    out = pc.is_in(groups.column("key"), value_set=filtered_keys(workspace.filters))
    lost: pa.Array = groups.filter(pc.and_(groups.column("kept"), out)).column("group_id").combine_chunks()
    copies = groups.filter(
        pc.and_(pc.match_substring(groups.column("reason"), "near_duplicate: "), pc.invert(out))
    ).filter(pc.field("group_id").isin(lost))
    return int(pc.count_distinct(copies.column("group_id")).as_py())
