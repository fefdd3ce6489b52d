"""A hierarchy of clusters on disk.

clusters/clusters.json              header, published last: levels, sizes, what they were made from
clusters/level-1-centroids.npy ...  float32 [K, D], level 1 is the finest
clusters/members.parquet            key, cluster (of level 1), cosine to its centroid
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

FORMAT, VERSION, HEADER = "winnow.clusters", 1, "clusters.json"
MEMBERS = TableSpec(
    "winnow.cluster_members",
    1,
    pa.schema(
        [
            pa.field("key", pa.string(), nullable=False),
            pa.field("cluster", pa.int32(), nullable=False),
            pa.field("cosine", pa.float32(), nullable=False),
        ]
    ),
    ("key",),
    "curate cluster",
)


@dataclass(frozen=True)
class StoredClusters:
    """Levels over images in the order of `keys`, and what they were made from."""

    keys: pa.Array
    levels: list[Level]
    inputs: str
    model: str


def write_clusters(
    folder: Path, keys: pa.Array, levels: Sequence[Level], inputs: str, settings: Mapping[str, Any], model: str
) -> None:
    """Publish a hierarchy; `keys` are sorted."""
    remove_drafts(folder)
    header = folder / HEADER
    header.unlink(missing_ok=True)
    for number, level in enumerate(levels, 1):
        publish_array(folder / f"level-{number}-centroids.npy", level.centroids)
        if number > 1:
            publish_array(folder / f"level-{number}-parents.npy", level.parent)
    members = pa.table({"key": keys, "cluster": pa.array(levels[0].parent), "cosine": pa.array(levels[0].cosine)})
    write_table(folder / "members.parquet", members.cast(MEMBERS.schema), MEMBERS)
    fields = {
        "inputs": inputs,
        "model": model,
        "clusters": [len(level.centroids) for level in levels],
        "images": len(keys),
        "settings": dict(settings),
    }
    write_header(header, format_name=FORMAT, version=VERSION, config_sha256=inputs, fields=fields)


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
    keys = members.column("key").combine_chunks()
    return StoredClusters(keys, levels, str(header["inputs"]), str(header["model"]))


def inputs_of(folder: Path) -> str | None:
    """What the clusters on disk were made from; None when there are none."""
    if not (folder / HEADER).is_file():
        return None
    header = read_header(folder / HEADER, format_name=FORMAT, version=VERSION, made_with="curate cluster")
    return str(header.get("inputs"))


def settings_of(folder: Path) -> dict[str, Any]:
    """The settings that the clusters on disk were made with; none when there are no clusters."""
    if not (folder / HEADER).is_file():
        return {}
    header = read_header(folder / HEADER, format_name=FORMAT, version=VERSION, made_with="curate cluster")
    return dict(header.get("settings", {}))


def _load(file: Path) -> NDArray[Any]:
    try:
        return np.asarray(np.load(file, allow_pickle=False))
    except (OSError, ValueError, EOFError):
        raise BrokenArtifact(f"{file} is missing, cut short or damaged: run `curate cluster` again") from None
