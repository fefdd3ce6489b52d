"""Image bytes of archives and tables, found for the shards with each archive and table read once, straight ahead.

A shuffled shard wants a little of every archive: shard by shard, each archive would be read again for every shard. So
the pool is read once, in stretches, each of which gives a block:

- copied: what shards want of the stretch, sorted by shard and row; a shard then reads one stretch of every block.
- located: only where the images lie in their tar archives, for archives on local disks that are small enough to be
  read at random; a shard then reads its images from the archives. Half the reading and writing.

Files of their own are in no block: a shard reads them where they are.

    gathered/block-00000.bin    copied: image bytes, by shard and row
    gathered/block-00000.json   located: the archives (the folder is gathered-in-place/ when there are such)
    gathered/block-00000.npy    int64 [records, 5]: shard, row, offset, size, archive; there when the block is whole

Source: the map and reduce sides of an external shuffle (Dean and Ghemawat, OSDI 2004, section 3).
Dimensions: R records.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contracts.errors import UserError
from contracts.publish import draft, publish_array, publish_json, read_json
from curation.sources.archives import ArchiveReader
from curation.sources.read_bytes import read_bytes
from curation.sources.reading_order import in_reading_order
from curation.sources.uri import split_uri
from curation.write.shard_tar import gone, require_catalogued

GATHERED, LOCATED = "gathered", "gathered-in-place"
_LOCAL_TAR, _ADDRESS = r"(?i)^[^#]*\.tar#", r"^[A-Za-z][A-Za-z0-9+.-]*://"
BLOCK_BYTES = 256 << 20
"""Image bytes of a block, about: what a worker holds at once."""


@dataclass(frozen=True)
class Block:
    """A stretch of the pool. `records`: columns key, uri, shard, row, as they lie in their archives. `copied`: or only
    located."""

    index_file: Path
    records: pa.Table
    copied: bool = True


def plan_blocks(
    shards: Sequence[pa.Table], folder: Path, gather_above_bytes: int = 0, block_bytes: int = BLOCK_BYTES
) -> list[Block]:
    """Blocks over the samples (write.samples) in archives and tables. `folder`: where the dataset is built.

    Local archives whose wanted images are not more than `gather_above_bytes` in all are located, all others copied.
    """
    wanted = _in_containers(shards)
    uri = wanted.column("uri")
    local = pc.and_not(pc.match_substring_regex(uri, _LOCAL_TAR), pc.match_substring_regex(uri, _ADDRESS))
    located, copied = wanted.filter(local), wanted.filter(pc.invert(local))
    if int(pc.sum(located.column("byte_count")).as_py() or 0) > gather_above_bytes:
        located, copied = wanted.slice(0, 0), wanted
    place = folder / (LOCATED if located.num_rows else GATHERED)  # a rerun with another limit makes blocks of its own
    blocks: list[Block] = []
    for records, is_copied in ((located, False), (copied, True)):
        for part in _stretches(records, block_bytes):
            blocks.append(Block(place / f"block-{len(blocks):05d}.npy", part, is_copied))
    return blocks


def _stretches(wanted: pa.Table, block_bytes: int) -> Iterator[pa.Table]:
    """The records in the order of the pool, cut into stretches of about `block_bytes`."""
    if wanted.num_rows == 0:
        return
    wanted = in_reading_order(wanted).combine_chunks()
    sizes = wanted.column("byte_count").to_numpy()
    block = (np.cumsum(sizes) - sizes) // block_bytes
    starts = np.flatnonzero(np.diff(block, prepend=-1))
    records = wanted.select(["key", "uri", "shard", "row"])
    for start, stop in zip(starts, [*starts[1:], len(block)], strict=True):
        yield records.take(pa.array(np.arange(start, stop)))  # its own memory: a view would be sent with all of it


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

    Errors: BrokenArtifact when an image is gone or, in a copied block, no longer the one that was catalogued.
    """
    if not block.index_file.is_file():
        index = _copy(block) if block.copied else _locate(block)
        index = index[np.lexsort((index[:, 1], index[:, 0]))]
        publish_array(block.index_file, index)
    return len(block.records)


def _copy(block: Block) -> NDArray[np.int64]:
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
    return np.stack([shard[order], row[order], np.cumsum(sizes) - sizes, sizes, np.zeros_like(sizes)], axis=1)


def _locate(block: Block) -> NDArray[np.int64]:
    places, archives = np.zeros((len(block.records), 5), np.int64), []
    places[:, 0], places[:, 1] = (block.records.column(name).to_numpy() for name in ("shard", "row"))
    wanted = [split_uri(uri) for uri in block.records.column("uri").to_pylist()]
    record = 0
    for number, (path, same) in enumerate(itertools.groupby(wanted, itemgetter(0))):
        archives.append(path)
        found = _members(path)
        for _, name in same:
            if name is None or name not in found:
                raise gone(block.records.column("uri")[record].as_py())
            places[record, 2:] = (*found[name], number)
            record += 1
    publish_json(block.index_file.with_suffix(".json"), archives)
    return places


def _members(path: str) -> Mapping[str, tuple[int, int]]:
    try:
        reader = ArchiveReader(path)
    except (OSError, UserError):
        return {}
    reader.close()
    return reader.places


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
                self._parts.append((file, np.array(index[first:last, 1:])))

    def rows(self, start: int, stop: int) -> Iterator[tuple[int, memoryview | bytes]]:
        """(row of the shard, bytes) of rows from start to stop, block by block.

        An archive that is gone since it was located gives no bytes, which a key check refuses.
        """
        for file, index in self._parts:
            first, last = np.searchsorted(index[:, 0], [start, stop])
            archives = file.with_suffix(".json")
            if last == first:
                continue
            if archives.is_file():
                yield from _at_their_places(index[first:last], read_json(archives))
            else:
                yield from _in_one_stretch(index[first:last], file.with_suffix(".bin"))


def _in_one_stretch(index: NDArray[np.int64], file: Path) -> Iterator[tuple[int, memoryview]]:
    begin, end = int(index[0, 1]), int(index[-1, 1] + index[-1, 2])
    with file.open("rb") as handle:
        handle.seek(begin)
        data = memoryview(handle.read(end - begin))
    for row, offset, size, _ in index.tolist():
        yield row, data[offset - begin : offset - begin + size]


def _at_their_places(index: NDArray[np.int64], archives: Sequence[str]) -> Iterator[tuple[int, bytes]]:
    by_place = index[np.lexsort((index[:, 1], index[:, 3]))].tolist()
    for number, same in itertools.groupby(by_place, itemgetter(3)):
        try:
            handle = Path(archives[number]).open("rb", buffering=0)  # noqa: SIM115
        except OSError:
            yield from ((row, b"") for row, *_ in same)
            continue
        with handle:
            for row, offset, size, _ in same:
                yield row, os.pread(handle.fileno(), size, offset)
