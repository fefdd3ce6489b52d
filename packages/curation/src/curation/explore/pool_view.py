"""What the explorer knows of every image, as columns: no Python object per image, about 150 bytes each.

Dimensions: N images of the pool (readable ones, one per key, sorted by key).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contracts.tables import SELECTION, read_table
from curation.catalog import unique_images
from curation.cluster.cluster_files import HEADER as CLUSTERS_HEADER
from curation.cluster.cluster_files import read_clusters
from curation.explore.keys import Keys, key_array, rows_of
from curation.select.overrides import read_overrides
from curation.select.selection import WorkspaceFiles, read_groups

Ints = NDArray[np.int32]
Rows = NDArray[np.int64]


class ExploredFiles(WorkspaceFiles, Protocol):
    """What the explorer reads beside what selection does."""

    @property
    def clusters(self) -> Path: ...


@dataclass(frozen=True)
class Coded:
    """A column of few values: a code per image, and what the codes stand for; -1 says nothing. Shapes: int32 [N]."""

    codes: Ints
    names: list[str]


@dataclass(frozen=True)
class Catalogued:
    """What ingest knows, fixed while the page is open. Shapes: [N] each."""

    keys: Keys
    uris: pa.Array
    source: Coded
    width_px: Ints
    height_px: Ints


@dataclass(frozen=True)
class Decided:
    """What the steps and the person decided. Shapes: [N] each.

    `kept`: 1 in, 0 out, -1 undecided. `why`: the first words of the reason. `group`: row of the image that names its
    group of duplicates, -1 without one. `by_hand`: whether a person said something of it.
    """

    kept: NDArray[np.int8]
    reason: pa.Array
    why: Coded
    group: Rows
    by_hand: NDArray[np.bool_]


def read_catalogued(files: ExploredFiles) -> Catalogued:
    """The pool as catalogued."""
    images = unique_images(files.catalog, ("source", "width_px", "height_px"))
    return Catalogued(
        keys=key_array(images.column("key")),
        uris=_plain(images.column("uri")),
        source=_coded(_plain(images.column("source"))),
        width_px=_whole(images.column("width_px")),
        height_px=_whole(images.column("height_px")),
    )


def read_decided(files: ExploredFiles, keys: Keys) -> Decided:
    """The decisions as they are on disk now."""
    selection = read_table(files.selection, SELECTION, ["key", "kept", "reason"])
    rows = rows_of(keys, key_array(selection.column("key")))
    place = pa.array(rows, mask=rows < 0)
    kept = pc.take(selection.column("kept").combine_chunks(), place)
    reason = pc.take(_plain(selection.column("reason")), place)
    why = pc.struct_field(pc.extract_regex(reason, r"^(?P<w>[^:]*)"), "w")
    overrides = read_overrides(files.overrides)
    by_hand = np.zeros(len(keys), np.bool_)
    said = rows_of(key_array(overrides.column("key")), keys)
    by_hand[said[said >= 0]] = True
    return Decided(
        kept=pc.fill_null(kept.cast(pa.int8()), -1).to_numpy(zero_copy_only=False),
        reason=reason,
        why=_coded(pc.replace_substring(why, "_", " ")),
        group=_groups(files, keys),
        by_hand=by_hand,
    )


def read_cluster_codes(files: ExploredFiles, keys: Keys, most: int = 64) -> Coded:
    """Clusters of the finest level that has at most `most`, else of the coarsest; no names without any clusters."""
    codes = np.full(len(keys), -1, np.int32)
    if not (files.clusters / CLUSTERS_HEADER).is_file():
        return Coded(codes, [])
    stored = read_clusters(files.clusters)
    member = stored.levels[0].parent.astype(np.int64)
    count = len(stored.levels[0].centroids)
    for level in stored.levels[1:]:
        if count <= most:
            break
        member, count = level.parent[member].astype(np.int64), len(level.centroids)
    rows = rows_of(key_array(stored.keys), keys)
    codes[rows[rows >= 0]] = member[rows >= 0]
    return Coded(codes, [f"cluster {number}" for number in range(count)])


def _groups(files: ExploredFiles, keys: Keys) -> Rows:
    groups = read_groups(files)
    found = np.full(len(keys), -1, np.int64)
    if groups is None or not groups.num_rows:
        return found
    groups = groups.filter(pc.greater(groups.column("group_size"), 1))
    rows = rows_of(key_array(groups.column("key")), keys)
    named = rows_of(key_array(groups.column("group_id")), keys)
    good = (rows >= 0) & (named >= 0)
    found[rows[good]] = named[good]
    return found


def _plain(column: pa.ChunkedArray) -> pa.Array:
    whole = column.combine_chunks()
    return whole.cast(whole.type.value_type) if pa.types.is_dictionary(whole.type) else whole


def _coded(values: pa.Array | pa.ChunkedArray) -> Coded:
    """Codes in the order of the names."""
    whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    coded = whole.dictionary_encode()
    names = coded.dictionary.to_pylist()
    order = sorted(range(len(names)), key=lambda code: str(names[code]))
    new = np.empty(len(names) + 1, np.int32)
    new[order] = np.arange(len(names))
    new[-1] = -1
    codes = pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False)
    return Coded(new[codes], [str(names[code]) for code in order])


def _whole(column: pa.ChunkedArray) -> Ints:
    return np.asarray(pc.fill_null(column.cast(pa.int32()), 0).to_numpy(), np.int32)
