from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contracts.errors import BrokenArtifact
from contracts.keys import key_of_bytes
from curation.sources.uri import file_uri, member_uri
from curation.write.gather import Block, GatheredBytes, gather, plan_blocks


def image(number: int) -> bytes:
    return bytes([number]) * (10 + number)


@pytest.fixture
def shards(tmp_path: Path) -> list[pa.Table]:
    """24 images of two tars, a table and a folder, shuffled over three shards."""
    uris = {}
    for name, numbers in {"a": range(8), "b": range(8, 14)}.items():
        with tarfile.open(tmp_path / f"{name}.tar", "w") as tar:
            for number in numbers:
                member = tarfile.TarInfo(f"{number:02d}.jpg")
                member.size = len(image(number))
                tar.addfile(member, io.BytesIO(image(number)))
                uris[number] = member_uri(tmp_path / f"{name}.tar", member.name)
    pq.write_table(pa.table({"image": [image(n) for n in range(14, 20)]}), tmp_path / "t.parquet", row_group_size=2)
    uris |= {14 + row: member_uri(tmp_path / "t.parquet", row) for row in range(6)}
    for number in range(20, 24):
        (tmp_path / f"{number}.jpg").write_bytes(image(number))
        uris[number] = file_uri(tmp_path / f"{number}.jpg")
    order = np.random.default_rng(0).permutation(24)
    cut = np.array_split(order, 3)
    return [
        pa.table(
            {
                "key": [key_of_bytes(image(n)) for n in part],
                "uri": [uris[n] for n in part],
                "byte_count": [len(image(n)) for n in part],
                "number": part,
            }
        )
        for part in cut
    ]


def in_containers(samples: pa.Table, start: int, stop: int) -> dict[int, bytes]:
    numbers = samples.column("number").to_pylist()
    return {row: image(numbers[row]) for row in range(start, stop) if numbers[row] < 20}


@pytest.mark.parametrize("gather_above_bytes", [0, 1 << 20])
@pytest.mark.parametrize("block_bytes", [1, 60, 1 << 20])
def test_every_shard_gets_its_bytes_whatever_the_blocks(
    shards: list[pa.Table], tmp_path: Path, block_bytes: int, gather_above_bytes: int
) -> None:
    blocks = plan_blocks(shards, tmp_path / "dataset", gather_above_bytes, block_bytes)
    assert sum(gather(block) for block in blocks) == 20
    assert {block.copied for block in blocks} == ({True, False} if gather_above_bytes else {True})
    if block_bytes > 1000:
        assert len(blocks) == (2 if gather_above_bytes else 1)
    files = [block.index_file for block in blocks]
    for number, samples in enumerate(shards):
        found = GatheredBytes(files, number)
        for start, stop in ((0, 8), (0, 3), (3, 8), (5, 6)):
            assert dict(found.rows(start, stop)) == in_containers(samples, start, stop)


def test_a_block_reads_its_archives_in_their_order(shards: list[pa.Table], tmp_path: Path) -> None:
    (block,) = plan_blocks(shards, tmp_path)
    uris = block.records.column("uri").to_pylist()
    assert uris == [member_uri(tmp_path / "a.tar", f"{n:02d}.jpg") for n in range(8)] + [
        member_uri(tmp_path / "b.tar", f"{n:02d}.jpg") for n in range(8, 14)
    ] + [member_uri(tmp_path / "t.parquet", row) for row in range(6)]


def test_a_published_block_is_not_made_again(shards: list[pa.Table], tmp_path: Path) -> None:
    (block,) = plan_blocks(shards, tmp_path / "dataset")
    gather(block)
    before = block.index_file.stat().st_mtime_ns
    (tmp_path / "a.tar").unlink()
    assert gather(Block(block.index_file, block.records)) == 20
    assert block.index_file.stat().st_mtime_ns == before


def test_a_block_is_not_published_without_all_of_its_images_and_is_made_when_they_are_back(
    shards: list[pa.Table], tmp_path: Path
) -> None:
    (tmp_path / "b.tar").rename(tmp_path / "elsewhere.tar")
    (block,) = plan_blocks(shards, tmp_path / "dataset")
    with pytest.raises(BrokenArtifact, match=r"b\.tar#08\.jpg is no longer there"):
        gather(block)
    assert not block.index_file.exists()
    (tmp_path / "elsewhere.tar").rename(tmp_path / "b.tar")
    assert gather(block) == 20


def test_archives_are_located_up_to_a_size_and_copied_beyond(shards: list[pa.Table], tmp_path: Path) -> None:
    in_tars = sum(len(image(number)) for number in range(14))
    located, copied = plan_blocks(shards, tmp_path, gather_above_bytes=in_tars)
    assert not located.copied
    assert len(located.records) == 14
    assert gather(located) == 14
    assert not located.index_file.with_suffix(".bin").exists()
    assert copied.copied
    (everything,) = plan_blocks(shards, tmp_path, gather_above_bytes=in_tars - 1)
    assert everything.copied
    assert everything.index_file != located.index_file


def test_archives_elsewhere_are_copied(tmp_path: Path) -> None:
    shard = pa.table({"key": ["a", "b"], "uri": ["s3://b/1.tar#1.jpg", "/a/2.TAR#2.jpg"], "byte_count": [3, 4]})
    assert [block.copied for block in plan_blocks([shard], tmp_path, 1 << 20)] == [False, True]


def test_an_archive_that_is_gone_is_told(shards: list[pa.Table], tmp_path: Path) -> None:
    located, _ = plan_blocks(shards, tmp_path / "dataset", 1 << 20)
    (tmp_path / "b.tar").rename(tmp_path / "elsewhere.tar")
    with pytest.raises(BrokenArtifact, match=r"b\.tar#08\.jpg is no longer there"):
        gather(located)
    (tmp_path / "elsewhere.tar").rename(tmp_path / "b.tar")
    gather(located)
    (tmp_path / "b.tar").unlink()
    found = dict(row for number in range(3) for row in GatheredBytes([located.index_file], number).rows(0, 8))
    assert b"" in found.values()  # which write_tar refuses by its key


def test_files_of_their_own_are_not_gathered(tmp_path: Path) -> None:
    shard = pa.table({"key": ["a", "b"], "uri": ["/a/1.jpg", "/a/2.jpg"], "byte_count": [3, 4]})
    assert plan_blocks([shard], tmp_path) == []
