"""Tars by address: folders by file:// and a web server on this machine stand for stores."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path

import pytest
import torch
from tests.trainer.data.remote.shard_server import ShardServer, shard_server

from contracts.dataset_folder import DatasetHeader, ShardEntry, write_dataset_header, write_dataset_index
from contracts.errors import BrokenArtifact, ConfigError, MissingInput
from contracts.keys import key_of_bytes
from contracts.publish import sha256_file
from trainer.data.augment.settings import AugmentationSettings
from trainer.data.batch import CropBatch
from trainer.data.loader import LoaderSettings, build_loader
from trainer.data.open_source import open_source
from trainer.data.remote.patience import Unreachable
from trainer.data.remote.settings import RemoteSettings
from trainer.data.sources.remote_shards import RemoteTarSource
from trainer.data.sources.remote_tables import RemoteParquetSource
from trainer.data.sources.source import ImageSource

WriteTar = Callable[[Path, Mapping[str, bytes]], Path]
ImageBytes = Callable[..., bytes]
SHARDS, PER_SHARD = 6, 5


@pytest.fixture
def settings(tmp_path: Path) -> RemoteSettings:
    return RemoteSettings(cache_folder=str(tmp_path / "cache"), allow_private=True, wait_seconds=0, tries=3)


@pytest.fixture
def store(tmp_path: Path, write_tar: WriteTar, image_bytes: ImageBytes) -> Path:
    """A dataset folder as curate writes it (without its manifest, which the trainer does not read)."""
    folder = tmp_path / "store" / "dataset"
    folder.mkdir(parents=True)
    entries = []
    for number in range(SHARDS):
        members = {}
        for image in range(PER_SHARD):
            data = image_bytes(number * PER_SHARD + image)
            members |= {f"{key_of_bytes(data)}.jpg": data, f"{key_of_bytes(data)}.json": b"{}"}
        shard = write_tar(folder / f"{number:06d}.tar", members)
        entries.append(ShardEntry(shard.name, PER_SHARD, shard.stat().st_size, sha256_file(shard)))
    write_dataset_index(folder, entries)
    digest = hashlib.sha256(b"").hexdigest()
    write_dataset_header(folder, DatasetHeader(SHARDS * PER_SHARD, SHARDS, {"s": 30}, [], digest, digest, {}))
    return folder


@pytest.fixture
def server(store: Path) -> Iterator[ShardServer]:
    with shard_server() as server:
        server.files = {f"dataset/{file.name}": file.read_bytes() for file in store.iterdir()}
        yield server


def everything(source: ImageSource) -> list[tuple[str, bytes]]:
    return [(sample.key, sample.data) for sample in map(source.read, range(len(source)))]


def batches(source: ImageSource, start: int, count: int, **changes: object) -> list[CropBatch]:
    crops = AugmentationSettings(global_px=16, local_px=8, local_crops=2)
    loader = LoaderSettings(4, 4, crops, seed=3, start_position=start, **changes)  # type: ignore[arg-type]
    return list(islice(build_loader(source, loader), count))


def test_a_dataset_folder_by_address_is_the_one_on_disk(store: Path, settings: RemoteSettings) -> None:
    local, remote = open_source(store), open_source(f"file://{store}", settings)
    assert isinstance(remote, RemoteTarSource)
    assert everything(remote) == everything(local)
    assert [remote.name(n) for n in (0, 29)] == [local.name(n) for n in (0, 29)]
    assert (remote.fingerprint, remote.class_names) == (local.fingerprint, None)
    assert remote.blocks().tolist() == [PER_SHARD] * SHARDS
    assert remote.describe() == f"30 images in 6 tar shards of file://{store}"


def test_opening_a_dataset_folder_fetches_no_shard(server: ShardServer, settings: RemoteSettings) -> None:
    assert len(open_source(server.url("dataset"), settings)) == SHARDS * PER_SHARD
    assert not any(name.endswith(".tar") for name in server.asked)


@pytest.mark.parametrize(
    "pattern", ["{000000..000005}.tar", "*.tar", "{000000..000003}.tar::{place}/{000004..000005}.tar"]
)
def test_patterns_of_tars(store: Path, settings: RemoteSettings, pattern: str) -> None:
    place = f"file://{store}"
    local = open_source("::".join(str(store / f"{n:06d}.tar") for n in range(SHARDS)))
    assert everything(open_source(f"{place}/{pattern.replace('{place}', place)}", settings)) == everything(local)


def test_shards_without_a_list_of_sizes_are_counted_once(
    server: ShardServer, settings: RemoteSettings, tmp_path: Path
) -> None:
    (sizes,) = (server.files.pop(name) for name in ("dataset/sizes.json",))
    spec = server.url("dataset/{000000..000005}.tar")
    assert len(open_source(spec, settings)) == SHARDS * PER_SHARD
    for tar in (tmp_path / "cache").glob("*/*.tar"):
        tar.unlink()
    server.asked.clear()
    assert len(open_source(spec, settings)) == SHARDS * PER_SHARD
    assert server.asked["dataset/000000.tar"] == 1, "its size alone is asked for"
    assert not list((tmp_path / "cache").glob("*/*.tar"))
    server.files["dataset/sizes.json"] = json.dumps({**json.loads(sizes), "000002.tar": 4}).encode()
    with pytest.raises(BrokenArtifact, match=r"000002\.tar holds 5 images where 4 were wanted"):
        everything(open_source(spec, settings))


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_the_stream_is_the_same_after_a_stop(server: ShardServer, tmp_path: Path, workers: int) -> None:
    def source(cache: str, **changes: object) -> ImageSource:
        remote = RemoteSettings(cache_folder=str(tmp_path / cache), allow_private=True, wait_seconds=0, **changes)  # type: ignore[arg-type]
        return open_source(server.url("dataset"), remote, 2)

    whole = batches(source("one"), 0, 12)
    assert len({key for batch in whole[:8] for key in batch.keys}) == 30, "an epoch meets every image"
    small = 4 * len(server.files["dataset/000000.tar"]) / 2**30
    server.unavailable.update({f"dataset/{number:06d}.tar": 1 for number in range(SHARDS)})
    rest = batches(source("two", cache_gib=small * 1.01), 5, 7, workers=workers)
    for one, other in zip(whole[5:], rest, strict=True):
        assert (one.keys, one.position) == (other.keys, other.position)
        assert torch.equal(one.global_crops, other.global_crops)
        assert torch.equal(one.local_crops, other.local_crops)
        assert torch.equal(one.masks, other.masks)
    assert sum(path.stat().st_size for path in (tmp_path / "two").glob("*/*")) <= small * 1.01 * 2**30


def test_windows_are_fetched_ahead(server: ShardServer, settings: RemoteSettings, tmp_path: Path) -> None:
    source = open_source(server.url("dataset"), settings, 2)
    batches(source, 0, 1)
    copies, end = tmp_path / "cache", time.monotonic() + 5
    while len(list(copies.glob("*/*.tar"))) < 4 and time.monotonic() < end:
        time.sleep(0.01)
    assert len(list(copies.glob("*/*.tar"))) == 4, "the window at hand and the next one"


def test_a_shard_that_stays_away_stops_the_stream_and_is_named(server: ShardServer, settings: RemoteSettings) -> None:
    server.unavailable["dataset/000003.tar"] = 10_000
    with pytest.raises(Unreachable, match=r"dataset/000003\.tar could not be read 3 times in a row"):
        batches(open_source(server.url("dataset"), settings, 2), 0, 8)
    server.unavailable.clear()
    server.files.pop("dataset/000004.tar")
    with pytest.raises(MissingInput, match=r"dataset/000004\.tar cannot be read .*404"):
        batches(open_source(server.url("dataset"), settings, 2), 0, 8)


def test_damage_is_found_by_the_index(store: Path, settings: RemoteSettings) -> None:
    shard = store / "000001.tar"
    shard.write_bytes(shard.read_bytes().replace(b"{}", b"[]", 1))
    with pytest.raises(BrokenArtifact, match=r"000001\.tar does not hold"):
        everything(open_source(f"file://{store}", settings))
    shard.unlink()
    with pytest.raises(BrokenArtifact, match=r"lacks the shard 000001\.tar"):
        open_source(f"file://{store}", settings)


def test_two_windows_must_fit_into_the_cache(store: Path, settings: RemoteSettings) -> None:
    small = settings.model_copy(update={"cache_gib": 3 * (store / "000000.tar").stat().st_size / 2**30})
    with pytest.raises(ConfigError, match=r"two windows of 2 shards .* lower data\.shuffle_shards"):
        open_source(f"file://{store}", small, 2)
    assert len(everything(open_source(f"file://{store}", small, 1))) == 30


def test_what_cannot_be_opened_is_said(store: Path, settings: RemoteSettings, tmp_path: Path) -> None:
    for spec, message in (
        (f"file://{tmp_path}/nothing", "there are no images in file://"),
        (f"file://{store}/000009.tar", "there is no file"),
        (f"file://{store}/9*.tar", "there is no file://"),
        (f"file://{store}/000000.tar::{store}/000001.tar", "joins addresses and the local"),
        (f"file://{store}/000000.tar::file://{store}/index.json", "ends in .json, .tar"),
        (f"file://{store}/empty.tar", "no images in"),
    ):
        (store / "empty.tar").write_bytes(bytes(1024))
        with pytest.raises(MissingInput, match=message):
            open_source(spec, settings)


def test_a_source_is_pickled_without_its_open_files(store: Path, settings: RemoteSettings) -> None:
    source = open_source(f"file://{store}", settings)
    source.ahead([0])
    assert pickle.loads(pickle.dumps(source)).read(7).data == source.read(7).data


def test_tables_by_address_are_those_on_disk(tmp_path: Path, image_bytes: ImageBytes, settings: RemoteSettings) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    folder = tmp_path / "tables" / "deep"
    folder.mkdir(parents=True)
    for number in range(2):
        images = [{"bytes": image_bytes(10 * number + n), "path": None} for n in range(7)]
        table = pa.table({"image": images, "label": [n % 3 for n in range(7)], "text": ["words"] * 7})
        pq.write_table(table, folder / f"{number}.parquet", row_group_size=3)
    local = open_source(tmp_path / "tables")
    with shard_server() as server:
        server.files = {file.name: file.read_bytes() for file in folder.iterdir()}
        for spec in (f"file://{tmp_path}/tables", server.url("{0..1}.parquet")):
            remote = open_source(spec, settings)
            assert isinstance(remote, RemoteParquetSource)
            assert everything(remote) == everything(local)
            assert remote.class_names == local.class_names == ("0", "1", "2")
            assert remote.blocks().tolist() == local.blocks().tolist() == [3, 3, 1, 3, 3, 1]
            mine, theirs = batches(remote, 0, 4), batches(local, 0, 4)
            assert [batch.keys for batch in mine] == [batch.keys for batch in theirs]
        server.asked.clear()
        remote.read(0)
        assert not server.asked, "a row group that was read is kept"
        again = open_source(server.url("{0..1}.parquet"), settings)
        server.files["0.parquet"] = server.files["1.parquet"] = b""
        assert everything(again) == everything(local), "copies are found by another process too"
        shutil.rmtree(tmp_path / "cache")
        server.unavailable["0.parquet"] = 10_000
        with pytest.raises(Unreachable, match=r"0\.parquet could not be read"):
            open_source(server.url("{0..1}.parquet"), settings)
