"""`curate build`: decide anew, plan the dataset, write it unless it is there."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from contracts.config import plain_values
from contracts.tables import SELECTION, read_table
from curation.catalog import read_catalog, unique_images
from curation.config import CurateConfig
from curation.engine import Engine
from curation.retrieve.retrieval_files import SeedResult, read_retrievals
from curation.select.flow import flow_counts
from curation.select.selection import read_groups, recompute_selection
from curation.workspace import Workspace
from curation.write.build import CardSettings, build_dataset, is_built
from curation.write.composition import Part, SeedCounts
from curation.write.plan import BuildPlan, plan_build
from curation.write.samples import IMAGE_COLUMNS, plan_samples

COLUMNS = tuple(name for name in IMAGE_COLUMNS if name not in ("key", "uri"))


@dataclass(frozen=True)
class BuildReport:
    """The dataset that was, is or would be written. `state`: written | unchanged | planned."""

    path: str
    state: str
    samples: int
    shards: int
    image_bytes: int
    parts: list[Part]
    flow: list[tuple[str, int]]

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "path": self.path,
            "state": self.state,
            "samples": self.samples,
            "shards": self.shards,
            "image_bytes": self.image_bytes,
            "composition": [part.as_dict() for part in self.parts],
            "flow": dict(self.flow),
        }

    def counts(self) -> dict[str, Any]:
        """What a person reads first."""
        return {
            "path": self.path,
            "state": self.state,
            **dict(self.flow),
            "shards": self.shards,
            "bytes": self.image_bytes,
        }


def build_into(
    workspace: Workspace,
    config: CurateConfig,
    engine: Engine,
    say: Callable[[str], None],
    out: Path | None = None,
    dry_run: bool = False,
) -> BuildReport:
    """Write the dataset folder of a workspace. Errors: MissingInput (no catalogue), UserError (nothing is kept)."""
    workspace.require_catalog()
    final = out or workspace.dataset
    recompute_selection(workspace)
    card = CardSettings(flow_of(workspace), _settings_told(workspace, config))
    plan = plan_dataset(workspace, config, card)
    state = "planned" if dry_run else "unchanged" if is_built(final, plan) else "written"
    if state == "written":
        say(f"writing {plan.samples:,} images to {len(plan.shards)} shards in {final}")
        build_dataset(final, plan, card, config.write, engine)
    return BuildReport(
        path=str(final),
        state=state,
        samples=plan.samples,
        shards=len(plan.shards),
        image_bytes=plan.image_bytes,
        parts=list(plan.parts),
        flow=list(card.flow),
    )


def plan_dataset(workspace: Workspace, config: CurateConfig, card: CardSettings) -> BuildPlan:
    """What a build would write now, from the selection as it is."""
    retrievals = read_retrievals(workspace.retrieval)
    selection = read_table(workspace.selection, SELECTION, ["key", "kept"])
    kept: pa.Array = selection.filter(selection.column("kept")).column("key").combine_chunks()
    samples = plan_samples(
        unique_images(workspace.catalog, COLUMNS),
        kept,
        read_groups(workspace),
        [found.rows for found in retrievals],
        {
            found.report.seed: unique_images(workspace.image_set(found.report.seed).catalog, COLUMNS)
            for found in retrievals
            if "as_is" in found.report.rows
        },
    )
    told = {"flow": [list(row) for row in card.flow], "settings": card.settings}
    return plan_build(samples, [_counts(found) for found in retrievals], told, config.write)


def _counts(found: SeedResult) -> SeedCounts:
    return SeedCounts(found.report.seed, found.report.seed_images, dict(found.report.rows))


def flow_of(workspace: Workspace) -> list[tuple[str, int]]:
    """Counts from offered files to kept images."""
    catalog = read_catalog(workspace.catalog, ["key"])
    selection = read_table(workspace.selection, SELECTION, ["reason", "kept"])
    unreadable = int(pc.sum(pc.is_null(catalog.column("key"))).as_py() or 0)
    return flow_counts(catalog.num_rows, unreadable, selection)


def _settings_told(workspace: Workspace, config: CurateConfig) -> dict[str, Any]:
    """Settings of the steps that were run, as they were run; without paths of the machine."""
    told: dict[str, Any] = {}
    report = workspace.dedup / "report.json"
    if report.is_file():
        found = json.loads(report.read_text(encoding="utf-8"))
        names = ("model", "components", "threshold", "against_threshold")
        told["dedup"] = {name: found[name] for name in names if found.get(name) is not None}
    for result in read_retrievals(workspace.retrieval):
        retrieve = result.report.settings.get("retrieve", {})
        told.setdefault("retrieve", {})[result.report.seed] = {"mode_used": result.report.mode, **retrieve}
    return {**told, "write": plain_values(config.write)}
