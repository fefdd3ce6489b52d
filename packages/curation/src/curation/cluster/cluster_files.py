"""A hierarchy of clusters on disk.

clusters/clusters.json              header, published last: levels, sizes, what they were made from
clusters/level-1-centroids.npy ...  float32 [K, D], level 1 is the finest
clusters/members.parquet            key, cluster (of level 1), cosine to its centroid, whether it trained the centroids
clusters/level-2-parents.npy ...    int32 [K of the level below]: the cluster of each finer cluster
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.errors import BrokenArtifact
from contracts.header import read_header, write_header
from contracts.publish import publish_array, remove_drafts
from contracts.tables import TableSpec, read_table, write_table
from curation.cluster.hierarchy import Level

FORMAT, VERSION, HEADER = "winnow.clusters", 2, "clusters.json"
MEMBERS = TableSpec(
    "winnow.cluster_members",
    2,
    pa.schema(
        [
            pa.field("key", pa.string(), nullable=False),
            pa.field("cluster", pa.int32(), nullable=False),
            pa.field("cosine", pa.float32(), nullable=False),
            pa.field("trained", pa.bool_(), nullable=False),
        ]
    ),
    ("key",),
    "curate cluster",
)


@dataclass(frozen=True)
class ClustersMade:
    """What a hierarchy was made from. `inputs`: changes with its images too; `trained_with`: without them."""

    inputs: str
    trained_with: str
    model: str
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class StoredClusters:
    """Levels over images in the order of `keys`, and what they were made from.

    `trained`: which images were in the pool that the centroids were trained for; that had `trained_images`.
    """

    keys: pa.Array
    levels: list[Level]
    trained: NDArray[np.bool_]
    trained_images: int
    made: ClustersMade


def write_clusters(folder: Path, keys: pa.Array, levels: Sequence[Level], made: ClustersMade) -> None:
    """Publish a hierarchy that was trained for all images; `keys` are sorted."""
    remove_drafts(folder)
    (folder / HEADER).unlink(missing_ok=True)
    for number, level in enumerate(levels, 1):
        publish_array(folder / f"level-{number}-centroids.npy", level.centroids)
        if number > 1:
            publish_array(folder / f"level-{number}-parents.npy", level.parent)
    write_members(folder, StoredClusters(keys, list(levels), np.ones(len(keys), np.bool_), len(keys), made))


def write_members(folder: Path, clusters: StoredClusters) -> None:
    """Publish images in clusters whose centroids are there, then the header.

    After a kill between the two the old header stands beside the new images, which the same centroids hold.
    """
    remove_drafts(folder)
    finest, made = clusters.levels[0], clusters.made
    columns = {"cluster": finest.parent, "cosine": finest.cosine, "trained": clusters.trained}
    members = pa.table({"key": clusters.keys, **{name: pa.array(values) for name, values in columns.items()}})
    write_table(folder / "members.parquet", members.cast(MEMBERS.schema), MEMBERS)
    fields = {
        "inputs": made.inputs,
        "trained_with": made.trained_with,
        "trained_images": clusters.trained_images,
        "model": made.model,
        "clusters": [len(level.centroids) for level in clusters.levels],
        "images": len(clusters.keys),
        "settings": dict(made.settings),
    }
    write_header(folder / HEADER, format_name=FORMAT, version=VERSION, config_sha256=made.inputs, fields=fields)


def read_clusters(folder: Path) -> StoredClusters:
    """Read a hierarchy. Errors: MissingInput (names the command), BrokenArtifact, NewerVersion."""
    header = read_header(folder / HEADER, format_name=FORMAT, version=VERSION, made_with="curate cluster")
    members = read_table(folder / "members.parquet", MEMBERS)
    finest = _load(folder / "level-1-centroids.npy")
    cosine = np.asarray(members.column("cosine").to_numpy(), np.float32)
    levels = [Level(finest, np.asarray(members.column("cluster").to_numpy(), np.int32), cosine)]
    for number in range(2, len(header["clusters"]) + 1):
        parent = _load(folder / f"level-{number}-parents.npy").astype(np.int32)
        centroids = _load(folder / f"level-{number}-centroids.npy")
        levels.append(Level(centroids, parent, np.einsum("kd,kd->k", levels[-1].centroids, centroids[parent])))
    return StoredClusters(
        members.column("key").combine_chunks(),
        levels,
        np.asarray(members.column("trained").to_numpy(), np.bool_),
        int(header["trained_images"]),
        _made(header),
    )


def made_of(folder: Path) -> ClustersMade | None:
    """What the clusters on disk were made from; None when there are none, or those of an older version."""
    if not (folder / HEADER).is_file():
        return None
    header = read_header(folder / HEADER, format_name=FORMAT, version=VERSION, made_with="curate cluster")
    if "trained_with" not in header:
        return None
    return _made(header)


def stored_clusters(folder: Path, made: ClustersMade) -> StoredClusters | None:
    """The clusters on disk if they were trained as `made` says, if for other images; None too for damaged files."""
    there = made_of(folder)
    if there is None or there.trained_with != made.trained_with:
        return None
    try:
        return read_clusters(folder)
    except BrokenArtifact:
        return None


def _made(header: Mapping[str, Any]) -> ClustersMade:
    inputs, trained_with, model = (str(header[name]) for name in ("inputs", "trained_with", "model"))
    return ClustersMade(inputs, trained_with, model, dict(header["settings"]))


def _load(file: Path) -> NDArray[Any]:
    try:
        return np.asarray(np.load(file, allow_pickle=False))
    except (OSError, ValueError, EOFError):
        raise BrokenArtifact(f"{file} is missing, cut short or damaged: run `curate cluster` again") from None
