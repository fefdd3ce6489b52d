"""`curate cluster` and `curate sample`: curation without seed sets, by a hierarchy of clusters of the pool."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.config import config_sha256, plain_values
from curation.cluster.balanced_sampling import sample_balanced
from curation.cluster.cluster_files import (
    StoredClusters,
    made_of,
    read_clusters,
    stored_clusters,
    write_clusters,
    write_members,
)
from curation.cluster.config import ClusterConfig
from curation.cluster.growth import drift_of, grow
from curation.cluster.hierarchy import KMeansPlan, build_hierarchy, without_images
from curation.cluster.semantic_pruning import prune_clusters
from curation.cluster_pool import DRAWING, ClusterPool, level_plans, open_cluster_pool
from curation.config import CurateConfig
from curation.engine import Engine
from curation.index.assign_parts import PartAssigner
from curation.index.kmeans import Assignment, Nearest
from curation.retrieve.from_vectors import Ranked, retrieval_rows
from curation.retrieve.retrieval_files import SeedReport, write_retrieval
from curation.select.selection import SelectionReport, recompute_selection
from curation.workspace import Workspace

Say = Callable[[str], None]
BALANCED = "balanced"


@dataclass(frozen=True)
class ClusterReport:
    """The hierarchy of a pool. `clusters`: per level, finest first. `largest`: images in the largest of each level.

    `trained_images`: of the pool that the centroids were trained for; `came`, `gone`: since then. `mean_cosine_came`:
    of those that came, to their centroids; where it is much lower, they are of other kinds, and training anew pays.
    """

    model: str
    images: int
    clusters: list[int]
    mean_images: list[float]
    largest: list[int]
    mean_cosine: float
    trained_images: int
    came: int
    gone: int
    mean_cosine_came: float | None

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)


@dataclass(frozen=True)
class SampleReport:
    """A balanced sample. `pruned`: images too near to another of their cluster, left out before drawing."""

    model: str
    images: int
    pruned: int
    asked: int
    sampled: int
    selection: SelectionReport

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)

    def counts(self) -> dict[str, Any]:
        """What a person reads first."""
        own = {name: value for name, value in self.as_dict().items() if name != "selection"}
        return {**own, "kept with what seeds brought": self.selection.kept, "dropped": self.selection.dropped}


def run_cluster(workspace: Workspace, config: CurateConfig, engine: Engine, say: Say) -> ClusterReport:
    """Cluster the deduplicated pool, unless that is on disk. Errors: MissingInput (catalogue, model)."""
    with open_cluster_pool(workspace, config, engine) as pool:
        _cluster(workspace, config, pool, engine, say)
    return _report(read_clusters(workspace.clusters))


def _cluster(workspace: Workspace, config: CurateConfig, pool: ClusterPool, engine: Engine, say: Say) -> None:
    """Leave the clusters as they are, put new images into them, or train them: what the pool and the settings ask."""
    settings, nearest = config.cluster, PartAssigner(engine, workspace.scratch)
    stored = stored_clusters(workspace.clusters, pool.made)
    drift = drift_of(stored, pool.keys) if stored else None
    if stored and drift and drift.share <= settings.retrain_above:
        if stored.made.inputs != pool.made.inputs:
            say(f"the centroids on disk serve: {drift.describe()}")
            _grow(workspace.clusters, stored, pool, nearest)
        return
    if drift:
        say(f"the centroids are trained anew: {drift.describe()}; cluster.retrain_above is {settings.retrain_above:g}")
    kmeans = KMeansPlan(settings.iterations, settings.train_images_per_cluster, settings.seed, nearest)
    vectors = pool.vectors()
    levels = build_hierarchy(vectors, level_plans(settings, len(vectors)), kmeans, say)
    write_clusters(workspace.clusters, pool.keys, levels, pool.made)


def _grow(folder: Path, stored: StoredClusters, pool: ClusterPool, nearest: Nearest) -> None:
    def assign_rows(rows: NDArray[np.int64]) -> Assignment:
        return nearest(pool.vectors_of(rows), stored.levels[0].centroids)

    levels, trained = grow(stored, pool.keys, assign_rows)
    write_members(folder, StoredClusters(pool.keys, levels, trained, stored.trained_images, pool.made))


def run_sample(
    workspace: Workspace, config: CurateConfig, images: int | None, engine: Engine, say: Say
) -> SampleReport:
    """Draw a balanced sample of the clustered pool and renew the selection; clusters first what is not clustered."""
    config = _as_clustered(workspace, config)
    with open_cluster_pool(workspace, config, engine) as pool:
        _cluster(workspace, config, pool, engine, say)
        stored, settings = read_clusters(workspace.clusters), config.cluster
        kept = _not_pruned(stored, config, pool, say)
    asked = images or settings.sample_images or _default_size(len(kept), settings.prune_above)
    rows = sample_balanced(without_images(stored.levels, kept), asked, settings.seed, settings.draw)
    _publish(workspace, config, stored, np.flatnonzero(kept)[rows], pool)
    return SampleReport(settings.model, len(kept), int((~kept).sum()), asked, len(rows), recompute_selection(workspace))


def _as_clustered(workspace: Workspace, config: CurateConfig) -> CurateConfig:
    """What `curate cluster` was told holds for `curate sample` too, but for what was set in so many words."""
    asked, there = config.cluster, made_of(workspace.clusters)
    told = there.settings if there else {}
    kept = {name: value for name, value in told.items() if name in ClusterConfig.model_fields}
    for name in DRAWING | asked.model_fields_set:
        kept[name] = plain_values(asked)[name]
    return config.model_copy(update={"cluster": ClusterConfig.model_validate(kept)}) if told else config


def _not_pruned(stored: StoredClusters, config: CurateConfig, pool: ClusterPool, say: Say) -> NDArray[np.bool_]:
    """Which images pruning leaves: all of them when none was asked for. Shapes: bool [images]."""
    settings, finest = config.cluster, stored.levels[0]
    if settings.prune_above is None:
        return np.ones(len(stored.keys), np.bool_)
    found = Assignment(finest.parent, finest.cosine)
    kept = prune_clusters(pool.vectors(), found, settings.prune_above, settings.prune_rule, settings.prune_first)
    say(f"{int((~kept).sum()):,} images pruned above cosine {settings.prune_above:g}")
    return kept


def _default_size(images: int, prune_above: float | None) -> int:
    """A tenth of the pool; all that is left when pruning alone was asked for."""
    return images if prune_above is not None else max(1, images // 10)


def _report(stored: StoredClusters) -> ClusterReport:
    counts, images = [], stored.levels[0].parent
    for depth, level in enumerate(stored.levels):
        images = images if depth == 0 else level.parent[images]
        counts.append(np.bincount(images, minlength=len(level.centroids)))
    drift, cosine = drift_of(stored, stored.keys), stored.levels[0].cosine
    return ClusterReport(
        model=stored.made.model,
        images=len(stored.keys),
        clusters=[len(count) for count in counts],
        mean_images=[round(float(count.mean()), 1) for count in counts],
        largest=[int(count.max()) for count in counts],
        mean_cosine=round(float(cosine.mean()), 4),
        trained_images=drift.trained,
        came=drift.came,
        gone=drift.gone,
        mean_cosine_came=round(float(cosine[~stored.trained].mean()), 4) if drift.came else None,
    )


def _publish(
    workspace: Workspace, config: CurateConfig, stored: StoredClusters, rows: NDArray[np.int64], pool: ClusterPool
) -> None:
    """The sample as what the pool itself brought, so that it joins what seed sets bring."""
    finest = stored.levels[0]
    ranked = Ranked(stored.keys.take(pa.array(rows)), finest.cosine[rows], np.zeros(len(rows), np.int64))
    table = retrieval_rows(ranked, BALANCED, BALANCED, cluster=finest.parent[rows].astype(np.int64))
    settings = plain_values(config.cluster)
    report = SeedReport(
        seed=BALANCED,
        source="the pool",
        mode=BALANCED,
        model=config.cluster.model,
        inputs=pool.made.inputs,
        pool=pool.identity,
        seed_images=0,
        pool_images=len(pool.keys),
        rows={BALANCED: len(rows)},
        images=len(rows),
        clusters=len(finest.centroids),
        settings=settings,
    )
    write_retrieval(workspace.retrieval, report, table, pa.array([], pa.string()), config_sha256(settings))
