"""What `curate cluster` works on: the deduplicated, embedded pool, and what a hierarchy over it is made from."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.config import config_sha256, plain_values
from contracts.embedding_store import EmbeddingStore
from contracts.errors import UserError
from curation.catalog import unique_images
from curation.cluster.cluster_files import ClustersMade
from curation.cluster.config import ClusterConfig
from curation.cluster.hierarchy import LevelPlan, default_plans
from curation.config import CurateConfig
from curation.embed.embed_catalog import embed
from curation.embed.table import model_name
from curation.engine import Engine
from curation.filters.filter_files import filtered_keys
from curation.index.row_files import scratch_folder
from curation.retrieve.stored_vectors import deduplicated_keys, identity_of, keys_with_vectors, map_vectors
from curation.select.selection import read_groups
from curation.workspace import Workspace

# Settings of the draw: the clusters do not depend on them.
DRAWING = frozenset({"sample_images", "draw", "prune_above", "prune_rule", "prune_first"})
# Settings that say nothing of how centroids are trained.
NOT_TRAINING = DRAWING | {"retrain_above"}


@dataclass(frozen=True)
class ClusterPool:
    """The deduplicated, embedded pool: its keys, sorted. `identity`: changes with its images or vectors.

    Vectors are read when they are asked for; they last as long as the scratch folder.
    """

    keys: pa.Array
    identity: str
    made: ClustersMade
    store: EmbeddingStore
    scratch: Path

    def vectors(self) -> NDArray[np.floating[Any]]:
        """Of all images. Shapes: [images, D]."""
        return map_vectors(self.store, self.keys, self.scratch / "pool.npy").vectors

    def vectors_of(self, rows: NDArray[np.int64]) -> NDArray[np.floating[Any]]:
        """Of some images. Shapes: [rows, D]."""
        return map_vectors(self.store, self.keys.take(pa.array(rows)), self.scratch / "some.npy").vectors


@contextmanager
def open_cluster_pool(workspace: Workspace, config: CurateConfig, engine: Engine) -> Iterator[ClusterPool]:
    """Embed what is missing, then give the pool for the block. Errors: MissingInput (catalogue, model), UserError."""
    workspace.require_catalog()
    model = config.cluster.model
    folder = workspace.embeddings(model_name(model))
    embed(workspace.catalog, folder, model, engine, config.embed)
    store = EmbeddingStore.open(folder)
    keys = pool_keys(workspace)
    identity = identity_of(store, keys)
    made = clusters_made(store, identity, config.cluster)
    with scratch_folder(workspace.scratch) as scratch:
        yield ClusterPool(keys_with_vectors(store, keys), identity, made, store, scratch)


def pool_keys(workspace: Workspace) -> pa.Array:
    """Keys of the images that neither filters nor dedup drop, sorted. Errors: UserError when there is none."""
    images = unique_images(workspace.catalog, ())
    keys = deduplicated_keys(images, read_groups(workspace), filtered_keys(workspace.filters))
    if len(keys) == 0:
        raise UserError(f"{workspace.root} has no image left: see `curate report` for why they were dropped")
    return keys


def clusters_made(store: EmbeddingStore, identity: str, asked: ClusterConfig) -> ClustersMade:
    """What clusters of the pool that `identity` names, made now, are made from."""
    settings = plain_values(asked)
    training = {name: value for name, value in settings.items() if name not in NOT_TRAINING}
    inputs = config_sha256({"vectors": identity, "settings": training})
    vectors = {"model": store.model, "dim": store.dim, "made with": store.config_sha256}
    return ClustersMade(inputs, config_sha256({"vectors": vectors, "settings": training}), asked.model, settings)


def level_plans(settings: ClusterConfig, images: int) -> list[LevelPlan]:
    """The levels of a hierarchy over so many images."""
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
