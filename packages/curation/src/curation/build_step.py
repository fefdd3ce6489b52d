"""`curate build`: decide anew, plan the dataset, write it unless it is there."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from contracts.tables import SELECTION, read_table, write_table
from curation.catalog import read_catalog, unique_images
from curation.config import CurateConfig
from curation.engine import Engine
from curation.filters.faces.derived import DERIVED, derive
from curation.retrieve.retrieval_files import SeedResult, read_retrievals
from curation.retrieve_step import stale_seeds
from curation.select.flow import flow_counts
from curation.select.overrides import action_counts, read_overrides
from curation.select.selection import read_groups, recompute_selection
from curation.sources.filesystem import is_remote
from curation.workspace import Workspace
from curation.write.build import CardSettings, build_dataset, is_built
from curation.write.composition import Part, SeedCounts
from curation.write.datacomp_subset import SubsetReport, write_subset
from curation.write.derived import found_at, with_derived
from curation.write.earlier_shards import EarlierShards, earlier_shards
from curation.write.mixing import mix
from curation.write.plan import BuildPlan, plan_build
from curation.write.samples import IMAGE_COLUMNS, plan_samples
from curation.write.staging import recover
from curation.write.upload import UploadReport, upload_dataset

COLUMNS = tuple(name for name in IMAGE_COLUMNS if name not in ("key", "uri"))


@dataclass(frozen=True)
class BuildTarget:
    """Where the dataset goes: a folder, or an address such as s3://bucket/folder (default: the workspace's dataset).

    `datacomp_subset`: a file for the DataComp uids of the images, beside the dataset. `dry_run`: plan only.
    """

    out: str | Path | None = None
    dry_run: bool = False
    datacomp_subset: Path | None = None


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
    upload: UploadReport | None = None
    datacomp_subset: SubsetReport | None = None

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
            "upload": asdict(self.upload) if self.upload else None,
            "datacomp_subset": asdict(self.datacomp_subset) if self.datacomp_subset else None,
        }

    def counts(self) -> dict[str, Any]:
        """What a person reads first."""
        rows: dict[str, Any] = {"path": self.path, "state": self.state, **dict(self.flow)}
        rows |= {"shards": self.shards, "bytes": self.image_bytes}
        if self.upload:
            rows["files copied"] = self.upload.copied
        if self.datacomp_subset:
            rows["uids in the DataComp subset"] = self.datacomp_subset.written
        return rows


def build_into(
    workspace: Workspace, config: CurateConfig, engine: Engine, target: BuildTarget, say: Callable[[str], None]
) -> BuildReport:
    """Write the dataset folder of a workspace. Errors: MissingInput (no catalogue), UserError (nothing is kept)."""
    workspace.require_catalog()
    remote = str(target.out) if target.out is not None and is_remote(str(target.out)) else None
    final = Path(target.out) if target.out is not None and remote is None else workspace.dataset
    recompute_selection(workspace)
    for seed in stale_seeds(workspace):
        say(
            f"{seed} was retrieved from another pool (ingest or dedup ran since): `curate retrieve --seed {seed}` again"
        )
    blur = None if target.dry_run else partial(blur_faces, workspace, config, engine, say)
    if not target.dry_run:
        recover(final)
    earlier = earlier_shards(final) if config.write.keep_shards else None
    plan, card = plan_dataset(workspace, config, blur, earlier)
    state = "planned" if target.dry_run else "unchanged" if is_built(final, plan) else "written"
    if state == "written":
        say(f"writing {plan.samples:,} images to {len(plan.shards)} shards in {final}")
        build_dataset(final, plan, card, config.write, engine)
    upload = upload_dataset(final, remote) if remote and not target.dry_run else None
    subset = None
    if target.datacomp_subset and not target.dry_run:
        uris = [uri for shard in plan.shards for uri in found_at(shard).to_pylist()]
        subset = write_subset(target.datacomp_subset, uris)
    return BuildReport(
        path=remote or str(final),
        state=state,
        samples=plan.samples,
        shards=len(plan.shards),
        image_bytes=plan.image_bytes,
        parts=list(plan.parts),
        flow=list(card.flow),
        upload=upload,
        datacomp_subset=subset,
    )


def blur_faces(
    workspace: Workspace, config: CurateConfig, engine: Engine, say: Callable[[str], None], samples: pa.Table
) -> pa.Table:
    """The samples, those with faces replaced by derived images where the settings ask for it."""
    faces = config.filters.faces
    if faces.mode != "blur":
        workspace.derived.unlink(missing_ok=True)
        return samples
    derived = derive(samples.select(["key", "uri", "format"]), workspace.faces, faces, config.ingest.limits, engine)
    write_table(workspace.derived, derived, DERIVED)
    count = int(pc.sum(derived.column("faces")).as_py() or 0)
    say(f"{count:,} faces blurred in {derived.num_rows:,} of {samples.num_rows:,} images")
    return with_derived(samples, derived)


def plan_dataset(
    workspace: Workspace,
    config: CurateConfig,
    blur: Callable[[pa.Table], pa.Table] | None = None,
    earlier: EarlierShards | None = None,
) -> tuple[BuildPlan, CardSettings]:
    """What a build would write now, from the selection as it is, and what its card tells. `blur`: over the samples.

    `earlier`: the dataset that it builds on, if any.
    """
    retrievals = read_retrievals(workspace.retrieval)
    selection = read_table(workspace.selection, SELECTION, ["key", "kept"])
    kept: pa.Array = selection.filter(selection.column("kept")).column("key").combine_chunks()
    everything = plan_samples(
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
    mixed = mix(everything, config.write.weights, config.write.mix_seed)
    samples = blur(mixed) if blur else mixed
    flow = flow_of(workspace)
    if everything.num_rows != len(kept) or samples.num_rows != everything.num_rows:
        flow.append(("seed images that are not in the pool", everything.num_rows - len(kept)))
        if config.write.weights:
            flow.append(("left out by the mixing weights", everything.num_rows - mixed.num_rows))
        if mixed.num_rows != samples.num_rows:
            flow.append(("the same once faces are blurred", mixed.num_rows - samples.num_rows))
        flow.append(("written", samples.num_rows))
    if "faces_blurred" in samples.column_names:
        flow.append(("with blurred faces", int(pc.count(samples.column("faces_blurred")).as_py())))
    card = CardSettings(flow, _settings_told(workspace, config))
    told = {"flow": [list(row) for row in flow], "settings": card.settings}
    return plan_build(samples, [_counts(found) for found in retrievals], told, config.write, earlier), card


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
    if workspace.filters.is_file():
        told["filters"] = json.loads(workspace.filters.with_suffix(".json").read_text(encoding="utf-8"))["bounds"]
    if config.filters.faces.mode == "blur":
        told["faces"] = {"mode": "blur", "confidence": config.filters.faces.confidence}
    report = workspace.dedup / "report.json"
    if report.is_file():
        found = json.loads(report.read_text(encoding="utf-8"))
        names = ("model", "components", "threshold", "against_threshold")
        told["dedup"] = {name: found[name] for name in names if found.get(name) is not None}
    for result in read_retrievals(workspace.retrieval):
        retrieve = result.report.settings.get("retrieve", {})
        told.setdefault("retrieve", {})[result.report.seed] = {"mode_used": result.report.mode, **retrieve}
    if by_hand := action_counts(read_overrides(workspace.overrides)):
        told["by_hand"] = by_hand
    return {**told, "write": config.write.told()}
