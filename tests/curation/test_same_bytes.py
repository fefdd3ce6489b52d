"""From offered files to the dataset: every file of the workspace is the same bytes with 1 and with 3 workers."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.curation.filters.faces.onnx_file import write_detector
from tests.curation.small_pool import SmallPool, make_small_pool, picture

from contracts.dataset_folder import read_dataset
from curation import api
from curation.embed import parts as embed_parts
from curation.filters import filter_pool
from curation.index import assign_parts, search_parts
from curation.ingest import parts as ingest_parts

SETTINGS = (
    "ingest.part_images=7",
    "embed.part_rows=5",
    "filters.part_images=6",
    "filters.short_side_px.min=45",
    "filters.blur.min=null",
    "dedup.index.kind=ivf",
    "dedup.index.lists=4",
    "retrieve.index.kind=ivf",
    "retrieve.index.lists=3",
    "retrieve.per_query=2",
    "cluster.level_clusters=[12,3]",
    "cluster.resample_rounds=1",
    "cluster.clusters=4",
    "filters.faces.mode=blur",
    "write.shard_samples=4",
)


@pytest.fixture(autouse=True)
def many_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool of 40 pictures is cut as a large one is."""
    monkeypatch.setattr(ingest_parts, "SMALLEST_PART", 5)
    monkeypatch.setattr(embed_parts, "SMALLEST_PART", 5)
    monkeypatch.setattr(filter_pool, "SMALLEST_PART", 5)
    monkeypatch.setattr(assign_parts, "ROWS_PER_PART", 7)
    monkeypatch.setattr(search_parts, "QUERIES_PER_PART", 2)


def whole_curation(small: SmallPool, root: Path, workers: int) -> api.Workspace:
    """Every step over the same pool and seeds into a workspace of its own."""
    seeds = {"warm": str(small.seed), "cold": str(root.parent / "cold")}
    workspace = api.init(root, api.NewWorkspace([str(small.pool)], seeds))
    config = workspace.config([*SETTINGS, f"filters.faces.model={root.parent / 'magenta.onnx'}"])
    sampled = workspace.config([*SETTINGS, "retrieve.mode=sample", "retrieve.as_is=true"])
    clustered = workspace.config([*SETTINGS, "retrieve.mode=cluster", "retrieve.per_cluster=5"])
    with api.open_engine("local", workers) as engine:
        offered = api.ingest(workspace, config, engine)
        assert offered.catalogued + offered.quarantined == offered.offered > 40
        api.filter_images(workspace, config, engine)
        api.dedup(workspace, config, engine)
        api.retrieve(workspace, sampled, ["warm"], engine)
        api.retrieve(workspace, clustered, ["cold"], engine)
        api.sample(workspace, config, engine, 9)
        report = api.build(workspace, config, engine, api.BuildTarget())
    assert_adds_up(workspace, report, offered)
    return workspace


def assert_adds_up(workspace: api.Workspace, report: api.BuildReport, offered: api.IngestReport) -> None:
    """Offered files to written images, and the composition table, in counts that leave nothing over."""
    flow, written = dict(report.flow), read_dataset(workspace.dataset)
    dropped = {name: count for name, count in flow.items() if name.startswith("dropped: ")}
    assert flow["files offered"] == offered.offered
    assert len(dropped) >= 3 and flow["distinct files"] == flow["kept"] + sum(dropped.values())
    assert flow["kept"] + flow["seed images that are not in the pool"] == flow["written"] == report.samples
    parts = written.header.composition
    assert sum(part["images"] for part in parts) == written.header.samples == report.samples
    assert sum(written.header.sources.values()) == report.samples == written.manifest().num_rows
    assert all(part["images"] <= part["retrieved"] for part in parts if part["retrieved"] is not None)
    assert f"| **total** |  |  |  | **{report.samples}** |  |" in (workspace.dataset / "README.md").read_text()
    assert api.verify(workspace.dataset).problems == []


def content(folder: Path) -> dict[str, bytes]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def test_every_byte_is_the_same_with_1_and_3_workers_and_the_accounting_adds_up(tmp_path: Path) -> None:
    small = make_small_pool(tmp_path)
    (tmp_path / "cold").mkdir()
    for number in range(5):
        picture("blue", 200 + number).save(tmp_path / "cold" / f"{number}.png")
    face = picture("green", 1, side_px=128)
    face.paste((255, 0, 255), (32, 32, 64, 64))
    face.save(small.pool / "face.png")
    write_detector(tmp_path / "magenta.onnx")
    one = whole_curation(small, tmp_path / "curated", workers=1)
    first, parts = content(one.root), read_dataset(one.dataset).header.composition
    one.root.rename(tmp_path / "one")
    second = content(whole_curation(small, tmp_path / "curated", workers=3).root)
    assert list(first) == list(second)
    assert [name for name in first if first[name] != second[name]] == []
    for name in ("selection.parquet", "dedup/groups.parquet", "retrieval/warm.parquet", "retrieval/cold.parquet"):
        assert name in first
    assert len([name for name in first if name.startswith("dataset/") and name.endswith(".tar")]) > 2
    assert {"warm", "cold", "balanced"} <= {part["seed"] for part in parts}
