"""A dataset that is built on the one before it: what stays, what is written, what a rerun does."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tarfile
from pathlib import Path

import pytest
from PIL import Image
from tests.curation.small_pool import SmallPool, make_small_pool, picture

from contracts.dataset_folder import DatasetFolder, read_dataset
from contracts.keys import key_of_bytes
from curation import api

KEEPING = ("write.keep_shards=true", "write.shard_samples=10")


def grow(small: SmallPool, *overrides: str) -> DatasetFolder:
    """Ingest what the pool holds now, and build."""
    config = small.config(*(overrides or KEEPING))
    with api.open_engine("local") as engine:
        api.ingest(small.workspace, config, engine)
        api.build(small.workspace, config, engine)
    assert api.verify(small.workspace.dataset).problems == []
    return read_dataset(small.workspace.dataset)


def keys_by_shard(dataset: DatasetFolder) -> list[list[str]]:
    rows = dataset.manifest(["key", "shard"]).to_pylist()
    return [[row["key"] for row in rows if row["shard"] == shard] for shard in range(len(dataset.shards))]


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def inodes(dataset: DatasetFolder) -> list[int]:
    return [dataset.shard_path(shard).stat().st_ino for shard in range(len(dataset.shards))]


@pytest.fixture
def small(tmp_path: Path) -> SmallPool:
    return make_small_pool(tmp_path)


def file_of(small: SmallPool, key: str) -> Path:
    return next(file for file in small.pool.rglob("*.*") if key_of_bytes(file.read_bytes()) == key)


def test_whole_shards_keep_their_bytes_and_new_images_get_their_own(small: SmallPool) -> None:
    before = grow(small)
    old, files = keys_by_shard(before), inodes(before)
    gone = next(key for key in old[0] if file_of(small, key).parent != small.pool)  # no other file has its bytes
    file_of(small, gone).unlink()
    new = [small.pool / f"new {number}.png" for number in range(12)]
    for number, file in enumerate(new):
        picture("green", 50 + number).save(file)

    after = grow(small)
    shards = keys_by_shard(after)
    assert shards[0] == [key for key in old[0] if key != gone] and shards[1 : len(old)] == old[1:]
    assert [len(shard) for shard in shards[len(old) :]] == [6, 6]
    assert {key for shard in shards[len(old) :] for key in shard} == {key_of_bytes(f.read_bytes()) for f in new}
    assert inodes(after)[1 : len(old)] == files[1:], "a shard whose samples are the same is not written again"
    assert inodes(after)[0] != files[0]

    told = content(small.workspace.dataset)
    with api.open_engine("local") as engine:
        assert api.build(small.workspace, small.config(*KEEPING), engine).state == "unchanged"
    assert content(small.workspace.dataset) == told


def test_a_sample_whose_description_changes_is_written_anew_in_its_place(small: SmallPool) -> None:
    old = keys_by_shard(grow(small))
    key = next(key for key in old[1] if file_of(small, key).parent.name == "green")
    with Image.open(file_of(small, key)) as image:
        image.convert("RGB").resize((44, 44)).save(small.pool / "later copy.jpg", quality=90)
    config = small.config(*KEEPING)
    with api.open_engine("local") as engine:
        api.ingest(small.workspace, config, engine)
        api.dedup(small.workspace, config, engine)
        api.build(small.workspace, config, engine)
    after = read_dataset(small.workspace.dataset)
    with tarfile.open(after.shard_path(1)) as tar:
        told = tar.extractfile(f"{key}.json")
        assert told is not None and json.load(told)["group_id"] == key, "it stands for its copy now"
    gone = {old_key for shard in old for old_key in shard} - {new for shard in keys_by_shard(after) for new in shard}
    assert keys_by_shard(after) == [[one for one in shard if one not in gone] for shard in old]
    assert api.verify(small.workspace.dataset).problems == []


def test_without_links_the_same_bytes_are_written(small: SmallPool, monkeypatch: pytest.MonkeyPatch) -> None:
    grow(small)
    shutil.copytree(small.workspace.root, small.pool.parent / "before")
    picture("green", 50).save(small.pool / "new.png")
    linked = content(grow(small).path)
    shutil.rmtree(small.workspace.root)
    (small.pool.parent / "before").rename(small.workspace.root)

    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    assert content(grow(small).path) == linked


def test_without_the_setting_all_are_shuffled_together(small: SmallPool) -> None:
    old = keys_by_shard(grow(small))
    picture("green", 50).save(small.pool / "new.png")
    after = grow(small, "write.shard_samples=10")
    assert keys_by_shard(after)[0] != old[0] and after.header.shard_samples == ()


def test_a_dataset_of_many_small_shards_is_cut_anew(small: SmallPool) -> None:
    counts = [len(grow(small).shards)]
    for number in range(7):
        picture("green", 50 + number).save(small.pool / f"new {number}.png")
        counts.append(len(grow(small).shards))
    assert counts == [4, 5, 6, 7, 8, 9, 10, 5], "a shard for each crawl, until there are more than twice those needed"
