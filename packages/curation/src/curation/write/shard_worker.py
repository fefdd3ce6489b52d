"""The work of one build worker: read the images of a shard and publish it whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from contracts.dataset_folder import ShardEntry
from contracts.publish import draft, sha256_file
from curation.sources.read_bytes import read_bytes, reading_order
from curation.write.shard_tar import write_tar

BLOCK_BYTES = 128 << 20
"""Image bytes that a worker holds at once, about."""


@dataclass(frozen=True)
class ShardTask:
    """One shard: where it is to be, and its samples (rows of write.samples)."""

    path: Path
    samples: pa.Table
    with_uri: bool


def write_shard(task: ShardTask) -> ShardEntry:
    """Publish a shard unless it is there already (then the same plan wrote it), and describe it."""
    if not task.path.is_file():
        with draft(task.path) as rough:
            write_tar(rough, _samples_with_bytes(task.samples), with_uri=task.with_uri)
    size = task.path.stat().st_size
    return ShardEntry(task.path.name, task.samples.num_rows, size, sha256_file(task.path))


def make_shard_worker() -> Any:
    """The factory that an engine calls once per worker."""
    return write_shard


def _samples_with_bytes(samples: pa.Table) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Samples with their image bytes, in order, a block of bounded size in memory."""
    ends = np.cumsum(samples.column("byte_count").to_numpy())
    start = 0
    while start < samples.num_rows:
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + BLOCK_BYTES, side="right")))
        rows = samples.slice(start, stop - start).to_pylist()
        yield from zip(rows, _read_by_place([row["uri"] for row in rows]), strict=True)
        start = stop


def _read_by_place(uris: list[str]) -> list[bytes]:
    """Bytes in the order of the uris, read in the order in which they lie in their archives and tables."""
    order = sorted(range(len(uris)), key=lambda place: reading_order(uris[place]))
    found: dict[int, bytes] = dict(zip(order, read_bytes(uris[place] for place in order), strict=True))
    return [found[place] for place in range(len(uris))]
