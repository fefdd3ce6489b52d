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


def add_pictures(folder: Path, numbers: range) -> None:
    """Bluish pictures; reddish ones from number 90 on."""
    folder.mkdir(exist_ok=True)
    for number in numbers:
        rng = np.random.default_rng(number)
        base = np.array([30, 60, 200] if number < 90 else [220, 40, 20])
        pixels = (base + rng.normal(0, 25, (5, 5, 3))).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).resize((40, 40), Image.Resampling.BICUBIC).save(folder / f"{number:03d}.png")


@pytest.fixture
def workspace(tmp_path: Path) -> api.Workspace:
    """90 bluish pictures and 10 reddish ones."""
    folder = tmp_path / "pool"
    add_pictures(folder, range(100))
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


def clustered(workspace: api.Workspace, *more: str) -> tuple[api.ClusterReport, list[str]]:
    said: list[str] = []
    with api.open_engine("local") as engine:
        config = workspace.config([*SETTINGS, *more])
        api.ingest(workspace, config, engine)
        return api.cluster(workspace, config, engine, said.append), said


def test_a_small_crawl_is_assigned_and_a_large_one_trains_anew(workspace: api.Workspace) -> None:
    pool = workspace.root.parent / "pool"
    clustered(workspace)
    centroids = (workspace.clusters / "level-1-centroids.npy").read_bytes()
    add_pictures(pool, range(100, 120))
    config = workspace.config(SETTINGS)
    with api.open_engine("local") as engine:
        api.ingest(workspace, config, engine)
    assert "20 images came and 0 went" in api.foresee_cluster(workspace, config).values["centroids"]
    report, said = clustered(workspace)
    assert (report.trained_images, report.came, report.gone, report.images) == (100, 20, 0, 120)
    assert report.mean_cosine_came is not None and "serve: 20 images came" in said[0]
    assert (workspace.clusters / "level-1-centroids.npy").read_bytes() == centroids
    files = {file.name: file.read_bytes() for file in workspace.clusters.iterdir()}
    assert clustered(workspace) == (report, []), "a rerun has nothing to do"
    assert {file.name: file.read_bytes() for file in workspace.clusters.iterdir()} == files

    (pool / "000.png").unlink()
    report, said = clustered(workspace)
    assert "trained anew: 20 images came and 1 went" in said[0], "21 of 100 are more than a fifth"
    assert (report.trained_images, report.came, report.gone) == (119, 0, 0)


def test_training_anew_can_be_asked_for(workspace: api.Workspace) -> None:
    clustered(workspace)
    add_pictures(workspace.root.parent / "pool", range(100, 105))
    assert clustered(workspace)[0].came == 5
    foreseen = api.foresee_cluster(workspace, workspace.config([*SETTINGS, "cluster.retrain_above=0"]))
    assert foreseen.values["centroids"].startswith("trained anew") and foreseen.values["clusters"] == "10, 2"
    grown = {file.name: file.read_bytes() for file in workspace.clusters.iterdir()}
    assert clustered(workspace, "cluster.retrain_above=0")[0].trained_images == 105
    anew = {file.name: file.read_bytes() for file in workspace.clusters.iterdir()}
    assert anew["level-1-centroids.npy"] != grown["level-1-centroids.npy"]


def test_damaged_clusters_are_made_again(workspace: api.Workspace) -> None:
    clustered(workspace)
    file = workspace.clusters / "level-1-centroids.npy"
    whole = file.read_bytes()
    file.write_bytes(whole[:50])
    clustered(workspace)
    assert file.read_bytes() == whole
