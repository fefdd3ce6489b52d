"""`curate cluster` and `curate sample` over a workspace."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contracts.errors import UserError
from contracts.tables import RETRIEVAL, SELECTION, read_table
from curation import api
from curation.cluster.options import cluster_overrides


@pytest.fixture
def workspace(tmp_path: Path) -> api.Workspace:
    """90 bluish pictures and 10 reddish ones."""
    folder = tmp_path / "pool"
    folder.mkdir()
    for number in range(100):
        rng = np.random.default_rng(number)
        base = np.array([30, 60, 200] if number < 90 else [220, 40, 20])
        pixels = (base + rng.normal(0, 25, (5, 5, 3))).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).resize((40, 40), Image.Resampling.BICUBIC).save(folder / f"{number:03d}.png")
    made = api.init(tmp_path / "workspace", api.NewWorkspace(sources=[str(folder)]))
    with api.open_engine("local") as engine:
        api.ingest(made, made.config(), engine)
    return made


SETTINGS = cluster_overrides({"level_clusters": "10,2"})


def sampled(workspace: api.Workspace, images: int, *more: str) -> api.SampleReport:
    with api.open_engine("local") as engine:
        return api.sample(workspace, workspace.config([*SETTINGS, *more]), engine, images)


def test_a_balanced_sample_gives_the_rare_kind_its_half(workspace: api.Workspace) -> None:
    report = sampled(workspace, 16)
    assert report.sampled == 16 and report.selection.kept == 16
    rows = read_table(workspace.retrieval / "balanced.parquet", RETRIEVAL)
    assert set(rows.column("mode").cast("string").to_pylist()) == {"balanced"}
    red = {
        hashlib.sha256((workspace.root.parent / "pool" / f"{n:03d}.png").read_bytes()).hexdigest()[:24]
        for n in range(90, 100)
    }
    assert len(red & set(rows.column("key").to_pylist())) == 8
    reasons = read_table(workspace.selection, SELECTION).column("reason").to_pylist()
    assert reasons.count("retrieved: balanced") == 16


def test_the_same_settings_give_the_same_bytes_and_clusters_are_made_once(workspace: api.Workspace) -> None:
    sampled(workspace, 16)
    files = sorted([*workspace.clusters.iterdir(), *workspace.retrieval.glob("balanced*"), workspace.selection])
    first = [file.read_bytes() for file in files]
    made = (workspace.clusters / "clusters.json").stat().st_mtime_ns
    sampled(workspace, 16)
    assert [file.read_bytes() for file in files] == first
    assert (workspace.clusters / "clusters.json").stat().st_mtime_ns == made
    sampled(workspace, 16, "cluster.seed=5")
    assert (workspace.clusters / "clusters.json").stat().st_mtime_ns != made


def test_pruning_comes_before_drawing(workspace: api.Workspace) -> None:
    report = sampled(workspace, 100, "cluster.prune_above=0.9")
    assert report.pruned > 0 and report.sampled == 100 - report.pruned


def test_levels_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(UserError, match="--levels"):
        cluster_overrides({"level_clusters": "10,many"})


def test_a_sample_is_drawn_from_the_clusters_that_were_asked_for(workspace: api.Workspace) -> None:
    with api.open_engine("local") as engine:
        api.cluster(workspace, workspace.config([*SETTINGS, "cluster.resample_rounds=1"]), engine)
        made = (workspace.clusters / "clusters.json").read_bytes()
        api.sample(workspace, workspace.config(["cluster.draw=closest"]), engine, 16)
        assert (workspace.clusters / "clusters.json").read_bytes() == made, "settings of the draw cluster nothing anew"
        api.sample(workspace, workspace.config(["cluster.level_clusters=[5]"]), engine, 16)
        assert (workspace.clusters / "clusters.json").read_bytes() != made
