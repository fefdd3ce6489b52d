"""Shards of the dataset that stands under the name: samples stay where they are, and whole shards keep their bytes.

Samples that are kept stay in their shard, in their order; new ones, shuffled, fill shards of their own behind these. A
shard whose samples are the same in every respect is linked from the old folder, any other is written. The layout
depends on the old dataset and the samples alone, so a rerun ends with the same bytes; a dataset that is made at once is
cut in another way.

Dimensions: N samples of the old dataset, S shards.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contracts.dataset_folder import ShardEntry, read_dataset
from contracts.errors import UserError
from contracts.publish import fsync_folder

MOST_SHARDS = 2
"""Samples are shuffled and cut anew when there would be so many times the shards that they need."""
# The old folder is on another file system, on one without links, or has as many as a file may.
_NO_LINK = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS)


@dataclass(frozen=True)
class EarlierShards:
    """A dataset folder. `entries`: shards by the sha256 of what they hold, where known.

    Shapes: keys [N], in order of (shard, row); shard [N], their shards.
    """

    folder: Path
    keys: pa.ChunkedArray
    shard: NDArray[np.int32]
    entries: Mapping[str, ShardEntry]


def earlier_shards(folder: Path) -> EarlierShards | None:
    """The whole dataset in a folder; None when there is none (sizes are checked, no checksums)."""
    try:
        dataset = read_dataset(folder)
        manifest = dataset.manifest(["key", "shard"])
    except UserError:
        return None
    held = dataset.header.shard_samples
    entries = dict(zip(held, dataset.shards, strict=True)) if len(held) == len(dataset.shards) else {}
    return EarlierShards(folder, manifest.column("key"), manifest.column("shard").to_numpy(), entries)


def lay_out(samples: pa.Table, earlier: EarlierShards) -> tuple[list[pa.Table], pa.Table]:
    """Samples in the shards where they were, without shards that are empty now, and the samples that are new."""
    place = pc.index_in(earlier.keys, value_set=samples.column("key"))
    still = pc.is_valid(place).to_numpy()
    rows, shard = place.drop_null().to_numpy(), earlier.shard[still]
    new = np.ones(samples.num_rows, np.bool_)
    new[rows] = False
    starts = np.flatnonzero(np.diff(shard))
    shards = [samples.take(pa.array(part)) for part in np.split(rows, starts + 1) if len(part)]
    return shards, samples.filter(pa.array(new))


def link_shard(earlier: EarlierShards, held: str, path: Path) -> ShardEntry | None:
    """Put the old shard that holds these samples under a new name, unless it is there; None where that cannot be."""
    entry = earlier.entries.get(held)
    if entry is None:
        return None
    try:
        os.link(earlier.folder / entry.url, path)
    except FileExistsError:
        pass  # an earlier try of the same plan
    except OSError as error:
        if error.errno in _NO_LINK:
            return None
        raise
    fsync_folder(path.parent)
    return ShardEntry(path.name, entry.nsamples, entry.filesize, entry.sha256)
