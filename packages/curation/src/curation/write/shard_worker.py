"""The work of one build worker: read the images of a shard and publish it whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from contracts.dataset_folder import ShardEntry
from contracts.publish import draft, sha256_file
from curation.sources.read_bytes import read_bytes
from curation.sources.reading_order import reading_order
from curation.write.gather import GatheredBytes
from curation.write.shard_tar import write_tar

BLOCK_BYTES = 128 << 20
"""Image bytes that a worker holds at once, about."""


@dataclass(frozen=True)
class ShardTask:
    """One shard: its number, where it is to be, its samples (rows of write.samples), the blocks with their bytes."""

    number: int
    path: Path
    samples: pa.Table
    blocks: Sequence[Path]
    with_uri: bool


def write_shard(task: ShardTask) -> ShardEntry:
    """Publish a shard unless it is there already (then the same plan wrote it), and describe it."""
    if task.path.is_file():
        size, digest = task.path.stat().st_size, sha256_file(task.path)
    else:
        with draft(task.path) as rough:
            size, digest = write_tar(rough, _samples_with_bytes(task), with_uri=task.with_uri)
    return ShardEntry(task.path.name, task.samples.num_rows, size, digest)


def make_shard_worker() -> Any:
    """The factory that an engine calls once per worker."""
    return write_shard


def _samples_with_bytes(task: ShardTask) -> Iterator[tuple[dict[str, Any], bytes | memoryview]]:
    """Samples with their image bytes, in order, a stretch of bounded size in memory."""
    ends = np.cumsum(task.samples.column("byte_count").to_numpy())
    gathered = GatheredBytes(task.blocks, task.number)
    start = 0
    while start < task.samples.num_rows:
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + BLOCK_BYTES, side="right")))
        rows = task.samples.slice(start, stop - start).to_pylist()
        found: dict[int, bytes | memoryview] = dict(gathered.rows(start, stop))
        own = {start + place: row["uri"] for place, row in enumerate(rows) if start + place not in found}
        order = sorted(own, key=lambda place: reading_order(own[place]))
        found.update(zip(order, read_bytes(own[place] for place in order), strict=True))
        yield from zip(rows, (found.pop(place) for place in range(start, stop)), strict=True)
        start = stop
