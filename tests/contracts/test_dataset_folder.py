"""The dataset folder: what is complete opens, what is missing, cut, changed or newer is named."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pyarrow as pa
import pytest

from contracts.dataset_folder import (
    HEADER,
    INDEX,
    MANIFEST_FILE,
    SIZES,
    DatasetHeader,
    ShardEntry,
    read_dataset,
    shard_name,
    verify_dataset,
    write_dataset_header,
    write_dataset_index,
)
from contracts.errors import BrokenArtifact, MissingInput, NewerVersion
from contracts.keys import is_key, key_of_bytes
from contracts.publish import publish_json, read_json, sha256_file
from contracts.tables import MANIFEST, write_table

IMAGES = [[b"one", b"two"], [b"three"]]


def write_shard(file: Path, images: list[bytes]) -> None:
    with tarfile.open(file, "w") as tar:
        for data in images:
            for extension, content in ((".jpg", data), (".json", b"{}")):
                member = tarfile.TarInfo(key_of_bytes(data) + extension)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "dataset"
    folder.mkdir()
    entries, rows = [], []
    for number, images in enumerate(IMAGES):
        file = folder / shard_name(number)
        write_shard(file, images)
        entries.append(ShardEntry(file.name, len(images), file.stat().st_size, sha256_file(file)))
        rows += [(key_of_bytes(data), number, row, len(data)) for row, data in enumerate(images)]
    count = len(rows)
    manifest = pa.table(
        {
            "key": [r[0] for r in rows],
            "shard": [r[1] for r in rows],
            "row": [r[2] for r in rows],
            "width_px": [8] * count,
            "height_px": [8] * count,
            "byte_count": [r[3] for r in rows],
            "source": ["pool"] * count,
            "origin": ["pool"] * count,
            **{name: pa.nulls(count) for name in ("seed", "query_key", "cosine", "group_id")},
        }
    )
    write_table(folder / MANIFEST_FILE, manifest, MANIFEST)
    write_dataset_index(folder, entries)
    sums = sha256_file(folder / MANIFEST_FILE)
    write_dataset_header(folder, DatasetHeader(count, 2, {"pool": count}, [{"kept": count}], sums, "0" * 64, {}))
    return folder


def test_a_complete_folder_opens_and_verifies(dataset: Path) -> None:
    opened = read_dataset(dataset)
    assert opened.header.samples == 3
    assert [s.nsamples for s in opened.shards] == [2, 1]
    assert opened.shard_path(1) == dataset / "000001.tar"
    assert all(is_key(key) for key in opened.manifest(["key"]).column("key").to_pylist())
    assert json.loads((dataset / SIZES).read_text()) == {"000000.tar": 2, "000001.tar": 1}
    assert verify_dataset(dataset) == []


def test_no_folder_and_no_header(dataset: Path) -> None:
    with pytest.raises(MissingInput, match="curate build"):
        read_dataset(dataset / "elsewhere")
    (dataset / HEADER).unlink()
    with pytest.raises(MissingInput, match="unfinished"):
        read_dataset(dataset)


def test_missing_and_short_shards(dataset: Path) -> None:
    shard = dataset / "000001.tar"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:512])
    with pytest.raises(BrokenArtifact, match=r"000001\.tar has 512 bytes"):
        read_dataset(dataset)
    shard.unlink()
    with pytest.raises(BrokenArtifact, match=r"lacks the shard 000001\.tar"):
        read_dataset(dataset)


def test_newer_foreign_and_disagreeing_headers(dataset: Path) -> None:
    header = read_json(dataset / HEADER)
    publish_json(dataset / HEADER, {**header, "version": 99})
    with pytest.raises(NewerVersion, match="upgrade"):
        read_dataset(dataset)
    publish_json(dataset / HEADER, {**header, "samples": 4})
    with pytest.raises(BrokenArtifact, match="says 2 with 4"):
        read_dataset(dataset)
    publish_json(dataset / HEADER, {name: value for name, value in header.items() if name != "samples"})
    with pytest.raises(BrokenArtifact, match="damaged"):
        read_dataset(dataset)


def test_a_shard_name_may_not_leave_the_folder(dataset: Path) -> None:
    index = read_json(dataset / INDEX)
    index["shardlist"][0]["url"] = "../000000.tar"
    publish_json(dataset / INDEX, index)
    with pytest.raises(BrokenArtifact, match="not a file of the folder"):
        read_dataset(dataset)


def test_verify_finds_changed_bytes_of_equal_length(dataset: Path) -> None:
    shard = dataset / "000000.tar"
    shard.write_bytes(shard.read_bytes().replace(b"two", b"owt"))
    assert verify_dataset(dataset) == ["000000.tar does not have the sha256 that index.json says"]


def test_verify_finds_a_shard_exchanged_together_with_its_index(dataset: Path) -> None:
    shard = dataset / "000000.tar"
    write_shard(shard, [b"one", b"owt"])
    index = read_json(dataset / INDEX)
    index["shardlist"][0]["sha256"] = sha256_file(shard)
    publish_json(dataset / INDEX, index)
    assert verify_dataset(dataset) == [
        "000000.tar holds 2 images that are not the 2 of the manifest, in order",
    ]


def test_verify_finds_a_changed_manifest_and_sizes(dataset: Path) -> None:
    publish_json(dataset / SIZES, {})
    manifest = read_dataset(dataset).manifest()
    manifest = manifest.set_column(
        manifest.schema.get_field_index("source"), "source", pa.array(["pool", "pool", "web"])
    )
    write_table(dataset / MANIFEST_FILE, manifest, MANIFEST)
    problems = verify_dataset(dataset)
    assert len(problems) == 3
    assert "sha256" in problems[0]
    assert "sizes.json" in problems[1]
    assert "sources" in problems[2]
