"""`curate report`: one HTML page over a workspace: counts, composition, groups, doubtful pairs, what seeds brought."""

from __future__ import annotations

import json
import platform
import re
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from contracts.config import dump_yaml
from contracts.publish import publish_text
from contracts.tables import GROUPS, PAIRS, SELECTION, empty_table, read_table
from curation.build_step import flow_of, plan_dataset
from curation.catalog import read_catalog, unique_images
from curation.cluster.cluster_files import made_of, read_clusters
from curation.cluster_step import BALANCED
from curation.config import CurateConfig
from curation.report.cluster_sizes import before_and_after, sizes_picture
from curation.report.filter_edges import filter_edges
from curation.report.findings import (
    Findings,
    SeedFindings,
    group_sizes,
    largest_groups,
    loosest_groups,
    pairs_around,
    quarantined,
    retrieval_examples,
    shapes,
)
from curation.report.page import page
from curation.report.thumbnails import thumbnails
from curation.retrieve.retrieval_files import SeedResult, read_retrievals
from curation.retrieve_step import line_of
from curation.select.selection import read_groups, recompute_selection
from curation.workspace import Workspace
from curation.write.dataset_card import COMPOSITION_HEAD, composition_rows

GROUPS_SHOWN, MEMBERS_SHOWN, PAIRS_SHOWN, QUERIES_SHOWN, BROUGHT_SHOWN, SEEDS_SHOWN = 12, 8, 10, 6, 8, 8
EDGES_SHOWN = 5
LIBRARIES = ("winnow-curation", "faiss-cpu", "faiss-gpu", "numpy", "opencv-python-headless", "pillow", "pyarrow", "ray")


@dataclass(frozen=True)
class ReportReport:
    """Where the page is, how large, and how many pictures it shows."""

    path: str
    bytes: int
    pictures: int

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)


def report_into(workspace: Workspace, config: CurateConfig, out: Path | None) -> ReportReport:
    """Write the page, report.html of the workspace unless told otherwise. Errors: MissingInput (no catalogue)."""
    workspace.require_catalog()
    recompute_selection(workspace)
    findings = gather(workspace, config)
    thumbs = thumbnails(_uris(workspace, findings.keys()))
    file = out or workspace.root / "report.html"
    text = page(findings, thumbs)
    publish_text(file, text)
    return ReportReport(str(file), len(text.encode()), len(thumbs))


def gather(workspace: Workspace, config: CurateConfig) -> Findings:
    """Pick what the page shows."""
    groups = read_groups(workspace)
    threshold, pairs = _threshold(workspace), _pairs(workspace)
    below, above = pairs_around(pairs, threshold, PAIRS_SHOWN)
    flow, composition, parts = _made_of(workspace, config)
    picture, told = _clusters(workspace)
    sides, aspects = shapes(read_catalog(workspace.catalog, ["status", "width_px", "height_px"]))
    inner = [(group["group_id"], group["min_inner_cosine"]) for group in _dedup_report(workspace)["loosest_groups"]]
    return Findings(
        title=f"Curation of {workspace.root.resolve().name}",
        flow=flow,
        composition_head=COMPOSITION_HEAD,
        composition_rows=composition,
        quarantined=quarantined(read_catalog(workspace.catalog, ["uri", "status", "error"])),
        group_sizes=group_sizes(groups if groups is not None else empty_table(GROUPS)),
        groups=largest_groups(groups, GROUPS_SHOWN, MEMBERS_SHOWN) if groups is not None else [],
        loosest=loosest_groups(groups, inner, MEMBERS_SHOWN) if groups is not None else [],
        shorter_sides=sides,
        aspects=aspects,
        sweep_svg=_sweep(workspace),
        settings=dump_yaml(config),
        versions=_versions(),
        threshold=threshold,
        pairs_above=above,
        pairs_below=below,
        parts=parts,
        edges=filter_edges(workspace.filters, EDGES_SHOWN),
        clusters=picture,
        clusters_told=told,
        seeds=[_seed(found) for found in read_retrievals(workspace.retrieval)[:SEEDS_SHOWN]],
    )


def _made_of(
    workspace: Workspace, config: CurateConfig
) -> tuple[list[tuple[str, int]], list[tuple[str, ...]], list[tuple[str, int]]]:
    """Counts from offered to written, the rows of the composition, and its parts with their counts."""
    selection = read_table(workspace.selection, SELECTION, ["kept"])
    if not pc.any(selection.column("kept")).as_py():
        return flow_of(workspace), [], []
    plan, card = plan_dataset(workspace, config)
    parts = [(_part_name(part.seed, part.mode), part.images) for part in plan.parts if part.images]
    return list(card.flow), composition_rows(plan.parts, plan.samples), parts


def _part_name(seed: str | None, mode: str | None) -> str:
    """`birds sample`, `balanced` (a seed and a mode of one name), or `pool`."""
    return "pool" if not seed else seed if seed == mode else f"{seed} {mode}"


def _clusters(workspace: Workspace) -> tuple[str, str]:
    """Sizes of the finest clusters and of what the balanced sample took, as a picture and a sentence."""
    sampled = [found for found in read_retrievals(workspace.retrieval) if found.report.seed == BALANCED]
    if not sampled or made_of(workspace.clusters) is None:
        return "", ""
    members = read_clusters(workspace.clusters).levels[0].parent
    taken = sampled[0].rows.column("cluster_id").drop_null().to_numpy().astype("int64")
    before, after = before_and_after(members, taken)
    told = (
        f"{len(before):,} clusters by size, light; what the sample of {len(taken):,} images took of each, dark. "
        f"Largest cluster: {before[0]:,} images, {after[0]:,} taken; most taken of one: {after.max():,}."
    )
    return sizes_picture(before, after), told


def _threshold(workspace: Workspace) -> float:
    return float(_dedup_report(workspace)["threshold"])


def _dedup_report(workspace: Workspace) -> dict[str, Any]:
    """What dedup reported; nothing is a copy of anything where it has not run."""
    report = workspace.dedup / "report.json"
    if not report.is_file():
        return {"threshold": 1.0, "loosest_groups": []}
    found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return found


def _sweep(workspace: Workspace) -> str:
    """The curve of the last sweep, fit for the inside of a page."""
    file = workspace.dedup / "sweep.svg"
    return re.sub(r' xmlns="[^"]*"', "", file.read_text(encoding="utf-8")) if file.is_file() else ""


def _versions() -> list[tuple[str, str]]:
    """Versions of what made the workspace, as far as it is installed here."""
    found = [("python", platform.python_version())]
    for name in LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            found.append((name, metadata.version(name)))
    return found


def _pairs(workspace: Workspace) -> pa.Table:
    file = workspace.dedup / "pairs.parquet"
    return read_table(file, PAIRS) if file.is_file() else empty_table(PAIRS)


def _seed(found: SeedResult) -> SeedFindings:
    queries = retrieval_examples(found.rows, QUERIES_SHOWN, BROUGHT_SHOWN)
    return SeedFindings(found.report.seed, line_of(found.report), queries)


def _uris(workspace: Workspace, keys: list[str]) -> dict[str, str]:
    """Where the shown images are: in the pool, or in an image set."""
    wanted = pa.array(keys, pa.string())
    uris: dict[str, str] = {}
    for catalog in (workspace.catalog, *sorted((workspace.root / "sets").glob("*/catalog"))):
        images = unique_images(catalog, ())
        found = images.filter(pc.is_in(images.column("key"), value_set=wanted))
        for row in found.to_pylist():
            uris.setdefault(row["key"], row["uri"])
    return uris
