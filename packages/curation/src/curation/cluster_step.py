"""`curate cluster` and `curate sample`: curation without seed sets, by a hierarchy of clusters of the pool."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.config import config_sha256, plain_values
from contracts.embedding_store import EmbeddingStore
from contracts.errors import UserError
from curation.catalog import unique_images
from curation.cluster.balanced_sampling import sample_balanced
from curation.cluster.cluster_files import StoredClusters, inputs_of, read_clusters, settings_of, write_clusters
from curation.cluster.config import ClusterConfig
from curation.cluster.hierarchy import KMeansPlan, LevelPlan, build_hierarchy, default_plans, without_images
from curation.cluster.semantic_pruning import prune_clusters
from curation.config import CurateConfig
from curation.embed.embed_catalog import embed
from curation.embed.table import model_name
from curation.engine import Engine
from curation.filters.filter_files import filtered_keys
from curation.index.assign_parts import PartAssigner
from curation.index.kmeans import Assignment
from curation.index.row_files import scratch_folder
from curation.retrieve.from_vectors import Ranked, Vectors, retrieval_rows
from curation.retrieve.retrieval_files import SeedReport, write_retrieval
from curation.retrieve.stored_vectors import deduplicated_keys, identity_of, map_vectors
from curation.select.selection import SelectionReport, read_groups, recompute_selection
from curation.workspace import Workspace

Say = Callable[[str], None]
BALANCED = "balanced"
# Settings of the draw: the clusters do not depend on them.
DRAWING = frozenset({"sample_images", "draw", "prune_above", "prune_rule", "prune_first"})


@dataclass(frozen=True)
class ClusterReport:
    """The hierarchy of a pool. `clusters`: per level, finest first. `largest`: images in the largest of each level."""

    model: str
    images: int
    clusters: list[int]
    mean_images: list[float]
    largest: list[int]
    mean_cosine: float

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
    with _open_pool(workspace, config, engine) as pool:
        _cluster(workspace, config, pool, engine, say)
    return _report(read_clusters(workspace.clusters))


def _cluster(workspace: Workspace, config: CurateConfig, pool: _Pool, engine: Engine, say: Say) -> None:
    if inputs_of(workspace.clusters) == pool.inputs:
        return
    settings, vectors = config.cluster, pool.vectors.vectors
    kmeans = KMeansPlan(
        settings.iterations,
        settings.train_images_per_cluster,
        settings.seed,
        PartAssigner(engine, workspace.scratch),
    )
    levels = build_hierarchy(vectors, _plans(config, len(vectors)), kmeans, say)
    write_clusters(workspace.clusters, pool.vectors.keys, levels, pool.inputs, plain_values(settings), settings.model)


def run_sample(
    workspace: Workspace, config: CurateConfig, images: int | None, engine: Engine, say: Say
) -> SampleReport:
    """Draw a balanced sample of the clustered pool and renew the selection; clusters first what is not clustered."""
    config = _as_clustered(workspace, config)
    with _open_pool(workspace, config, engine) as pool:
        _cluster(workspace, config, pool, engine, say)
        stored, settings = read_clusters(workspace.clusters), config.cluster
        kept = _not_pruned(stored, config, pool, say)
    asked = images or settings.sample_images or _default_size(len(kept), settings.prune_above)
    rows = sample_balanced(without_images(stored.levels, kept), asked, settings.seed, settings.draw)
    _publish(workspace, config, stored, np.flatnonzero(kept)[rows], pool)
    return SampleReport(settings.model, len(kept), int((~kept).sum()), asked, len(rows), recompute_selection(workspace))


def _as_clustered(workspace: Workspace, config: CurateConfig) -> CurateConfig:
    """What `curate cluster` was told holds for `curate sample` too, but for what was set in so many words."""
    asked, told = config.cluster, settings_of(workspace.clusters)
    kept = {name: value for name, value in told.items() if name in ClusterConfig.model_fields}
    for name in DRAWING | asked.model_fields_set:
        kept[name] = plain_values(asked)[name]
    return config.model_copy(update={"cluster": ClusterConfig.model_validate(kept)}) if told else config


def _not_pruned(stored: StoredClusters, config: CurateConfig, pool: _Pool, say: Say) -> NDArray[np.bool_]:
    """Which images pruning leaves: all of them when none was asked for. Shapes: bool [images]."""
    settings, finest = config.cluster, stored.levels[0]
    if settings.prune_above is None:
        return np.ones(len(stored.keys), np.bool_)
    found = Assignment(finest.parent, finest.cosine)
    vectors = pool.vectors.vectors
    kept = prune_clusters(vectors, found, settings.prune_above, settings.prune_rule, settings.prune_first)
    say(f"{int((~kept).sum()):,} images pruned above cosine {settings.prune_above:g}")
    return kept


def _default_size(images: int, prune_above: float | None) -> int:
    """A tenth of the pool; all that is left when pruning alone was asked for."""
    return images if prune_above is not None else max(1, images // 10)


@dataclass(frozen=True)
class _Pool:
    """The deduplicated, embedded pool in order of key. `identity`: changes with its images or vectors; `inputs`: also
    with the settings of the hierarchy. The vectors last as long as the scratch folder."""

    vectors: Vectors
    identity: str
    inputs: str


@contextmanager
def _open_pool(workspace: Workspace, config: CurateConfig, engine: Engine) -> Iterator[_Pool]:
    workspace.require_catalog()
    model = config.cluster.model
    folder = workspace.embeddings(model_name(model))
    embed(workspace.catalog, folder, model, engine, config.embed)
    store = EmbeddingStore.open(folder)
    keys = deduplicated_keys(
        unique_images(workspace.catalog, ()), read_groups(workspace), filtered_keys(workspace.filters)
    )
    if len(keys) == 0:
        raise UserError(f"{workspace.root} has no image left to cluster: see `curate report` for why they were dropped")
    settings = {name: value for name, value in plain_values(config.cluster).items() if name not in DRAWING}
    identity = identity_of(store, keys)
    inputs = config_sha256({"vectors": identity, "settings": settings})
    with scratch_folder(workspace.scratch) as scratch:
        yield _Pool(map_vectors(store, keys, scratch / "pool.npy"), identity, inputs)


def _plans(config: CurateConfig, images: int) -> list[LevelPlan]:
    settings = config.cluster
    if not settings.level_clusters:
        plans = default_plans(
            images, settings.images_per_finest_cluster, settings.level_ratio, settings.resample_rounds
        )
    else:
        sizes = [images, *settings.level_clusters]
        plans = [
            LevelPlan(clusters, max(1, points // clusters // 2), settings.resample_rounds)
            for points, clusters in itertools.pairwise(sizes)
        ]
    if settings.resample_members is None:
        return plans
    return [LevelPlan(plan.clusters, settings.resample_members, plan.resample_rounds) for plan in plans]


def _report(stored: StoredClusters) -> ClusterReport:
    counts, images = [], stored.levels[0].parent
    for depth, level in enumerate(stored.levels):
        images = images if depth == 0 else level.parent[images]
        counts.append(np.bincount(images, minlength=len(level.centroids)))
    return ClusterReport(
        model=stored.model,
        images=len(stored.keys),
        clusters=[len(count) for count in counts],
        mean_images=[round(float(count.mean()), 1) for count in counts],
        largest=[int(count.max()) for count in counts],
        mean_cosine=round(float(stored.levels[0].cosine.mean()), 4),
    )


def _publish(
    workspace: Workspace, config: CurateConfig, stored: StoredClusters, rows: NDArray[np.int64], pool: _Pool
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
        inputs=pool.inputs,
        pool=pool.identity,
        seed_images=0,
        pool_images=len(pool.vectors),
        rows={BALANCED: len(rows)},
        images=len(rows),
        clusters=len(finest.centroids),
        settings=settings,
    )
    write_retrieval(workspace.retrieval, report, table, pa.array([], pa.string()), config_sha256(settings))
