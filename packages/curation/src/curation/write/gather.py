"""Image bytes from archives and tables, brought into the order of the shards in two passes that read straight ahead.

A shuffled shard wants a little of every archive: shard by shard, each archive would be read again for every shard. So
each is read once, and what shards want of a stretch of the pool goes to a block, sorted by shard and row; a shard then
reads one stretch of every block. Files of their own are not gathered: a shard reads them where they are.

    gathered/block-00000.bin    image bytes, by shard and row
    gathered/block-00000.npy    int64 [records, 4]: shard, row, offset in the .bin, size; there when the block is whole

Source: the map and reduce sides of an external shuffle (Dean and Ghemawat, OSDI 2004, section 3).
Dimensions: R records.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contracts.publish import draft
from curation.sources.read_bytes import read_bytes
from curation.sources.reading_order import in_reading_order
from curation.write.shard_tar import require_catalogued

GATHERED = "gathered"
BLOCK_BYTES = 256 << 20
"""Image bytes of a block, about: what a worker holds at once."""


@dataclass(frozen=True)
class Block:
    """A stretch of the pool. `records`: columns key, uri, shard, row, as they lie in their archives."""

    index_file: Path
    records: pa.Table


def plan_blocks(shards: Sequence[pa.Table], folder: Path, block_bytes: int = BLOCK_BYTES) -> list[Block]:
    """Blocks over the samples (write.samples) in archives and tables. `folder`: where the dataset is built."""
    wanted = in_reading_order(_in_containers(shards)).combine_chunks()
    if wanted.num_rows == 0:
        return []
    sizes = wanted.column("byte_count").to_numpy()
    block = (np.cumsum(sizes) - sizes) // block_bytes
    starts = np.flatnonzero(np.diff(block, prepend=-1))
    records = wanted.select(["key", "uri", "shard", "row"])
    blocks = []
    for number, (start, stop) in enumerate(zip(starts, [*starts[1:], len(block)], strict=True)):
        rows = records.take(pa.array(np.arange(start, stop)))  # its own memory: a view would be sent with all of it
        blocks.append(Block(folder / GATHERED / f"block-{number:05d}.npy", rows))
    return blocks


def _in_containers(shards: Sequence[pa.Table]) -> pa.Table:
    tables = []
    for number, samples in enumerate(shards):
        place = {
            "key": samples.column("key"),
            "uri": samples.column("uri"),
            "byte_count": samples.column("byte_count").cast(pa.int64()),
            "shard": pa.array(np.full(samples.num_rows, number, np.int64)),
            "row": pa.array(np.arange(samples.num_rows, dtype=np.int64)),
        }
        tables.append(pa.table(place).filter(pc.match_substring(samples.column("uri"), "#")))
    return pa.concat_tables(tables)


def gather(block: Block) -> int:
    """Publish a block unless it is there. Returns its records.

    Errors: BrokenArtifact when an image is gone or no longer the one that was catalogued.
    """
    if block.index_file.is_file():
        return len(block.records)
    keys, uris = (block.records.column(name).to_pylist() for name in ("key", "uri"))
    images = []
    for key, uri, data in zip(keys, uris, read_bytes(uris), strict=True):
        require_catalogued(key, uri, data)
        images.append(data)
    shard, row = (block.records.column(name).to_numpy() for name in ("shard", "row"))
    order = np.lexsort((row, shard))
    sizes = np.array([len(images[record]) for record in order], np.int64)
    with draft(block.index_file.with_suffix(".bin")) as rough, rough.open("wb") as handle:
        handle.writelines(images[record] for record in order)
    index = np.stack([shard[order], row[order], np.cumsum(sizes) - sizes, sizes], axis=1)
    with draft(block.index_file) as rough, rough.open("wb") as handle:
        np.save(handle, index, allow_pickle=False)
    return len(images)


def make_gatherer() -> Any:
    """The factory that an engine calls once per worker."""
    return gather


class GatheredBytes:
    """What the blocks hold of one shard."""

    def __init__(self, blocks: Sequence[Path], shard: int) -> None:
        self._parts: list[tuple[Path, NDArray[np.int64]]] = []
        for file in blocks:
            index = np.load(file, mmap_mode="r", allow_pickle=False)
            first, last = np.searchsorted(index[:, 0], [shard, shard + 1])
            if last > first:
                self._parts.append((file.with_suffix(".bin"), np.array(index[first:last, 1:])))

    def rows(self, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
        """(row of the shard, bytes) of rows from start to stop, block by block; each block is read in one stretch."""
        for file, index in self._parts:
            first, last = np.searchsorted(index[:, 0], [start, stop])
            if last == first:
                continue
            records = index[first:last]
            begin, end = int(records[0, 1]), int(records[-1, 1] + records[-1, 2])
            with file.open("rb") as handle:
                handle.seek(begin)
                data = memoryview(handle.read(end - begin))
            for row, offset, size in records.tolist():
                yield row, bytes(data[offset - begin : offset - begin + size])
