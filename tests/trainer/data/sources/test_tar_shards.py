from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from contracts.dataset_folder import (
    MANIFEST_FILE,
    DatasetHeader,
    ShardEntry,
    write_dataset_header,
    write_dataset_index,
)
from contracts.errors import BrokenArtifact, MissingInput
from contracts.keys import key_of_bytes
from contracts.publish import sha256_file
from contracts.tables import MANIFEST, write_table
from trainer.data.sources.tar_shards import TarSource, open_dataset_folder

WriteTar = Callable[..., Path]


def test_reading_gives_the_bytes_keys_and_labels(tmp_path: Path, write_tar: WriteTar) -> None:
    a = write_tar(tmp_path / "a.tar", {"x/1.jpg": b"one", "x/1.cls": b"4", "2.png": b"two!", "2.cls": b"1"})
    b = write_tar(tmp_path / "b.tar", {"1.jpg": b"three", "1.cls": b"0"})
    source = TarSource([a, b])
    found = [source.read(i) for i in (2, 0, 1)]
    assert [(s.key, s.data, s.label) for s in found] == [
        ("b.tar#1", b"three", 0),
        ("a.tar#x/1", b"one", 4),
        ("a.tar#2", b"two!", 1),
    ]
    assert [source.name(i) for i in range(3)] == ["a.tar#x/1", "a.tar#2", "b.tar#1"]
    assert source.class_names == ("0", "1", "2", "3", "4")
    assert "3 images in 2 tar shards" in source.describe()


def test_without_labels_there_are_no_classes(tmp_path: Path, write_tar: WriteTar) -> None:
    source = TarSource([write_tar(tmp_path / "a.tar", {"1.jpg": b"one"})])
    assert source.class_names is None
    assert source.read(0).label is None


def test_a_pickled_source_opens_its_own_files(tmp_path: Path, write_tar: WriteTar) -> None:
    source = TarSource([write_tar(tmp_path / "a.tar", {"1.jpg": b"one"})])
    source.read(0)
    copy = pickle.loads(pickle.dumps(source))
    del source
    assert copy.read(0).data == b"one"


def test_a_missing_shard_and_an_imageless_one_are_named(tmp_path: Path, write_tar: WriteTar) -> None:
    with pytest.raises(MissingInput, match=r"gone\.tar"):
        TarSource([tmp_path / "gone.tar"])
    with pytest.raises(MissingInput, match=r"no images in .*a\.tar"):
        TarSource([write_tar(tmp_path / "a.tar", {"1.txt": b"one"})])


def test_an_image_cut_off_by_the_end_of_the_shard_is_named(tmp_path: Path, write_tar: WriteTar) -> None:
    path = write_tar(tmp_path / "a.tar", {"1.jpg": b"1" * 900, "2.jpg": b"2" * 900})
    path.write_bytes(path.read_bytes()[:2800])
    source = TarSource([path])
    assert source.read(0).data == b"1" * 900
    with pytest.raises(OSError, match=r"a\.tar#2.*cut short"):
        source.read(1)


def dataset(folder: Path, images: list[bytes], write_tar: WriteTar) -> Path:
    folder.mkdir()
    keys = [key_of_bytes(data) for data in images]
    members = {
        name: d
        for key, data in zip(keys, images, strict=True)
        for name, d in ((f"{key}.jpg", data), (f"{key}.json", b"{}"))
    }
    shard = write_tar(folder / "000000.tar", members)
    write_dataset_index(folder, [ShardEntry(shard.name, len(images), shard.stat().st_size, sha256_file(shard))])
    n = len(images)
    columns = {
        "key": keys, "shard": [0] * n, "row": list(range(n)), "width_px": [1] * n, "height_px": [1] * n,
        "byte_count": [len(d) for d in images], "source": ["s"] * n, "origin": ["pool"] * n, "seed": [None] * n,
        "query_key": [None] * n, "cosine": [None] * n, "group_id": [None] * n,
    }  # fmt: skip
    write_table(folder / MANIFEST_FILE, pa.table(columns, schema=MANIFEST.schema), MANIFEST)
    digest = sha256_file(folder / MANIFEST_FILE)
    write_dataset_header(folder, DatasetHeader(n, 1, {"s": n}, [], digest, hashlib.sha256(b"").hexdigest(), {}))
    return folder


def test_a_dataset_folder_is_read_by_its_keys(tmp_path: Path, write_tar: WriteTar) -> None:
    images = [b"first image", b"second image"]
    source = open_dataset_folder(dataset(tmp_path / "set", images, write_tar))
    assert [source.read(i).data for i in range(2)] == images
    assert [source.read(i).key for i in range(2)] == [key_of_bytes(data) for data in images]


def test_a_dataset_folder_without_its_shard_is_refused(tmp_path: Path, write_tar: WriteTar) -> None:
    folder = dataset(tmp_path / "set", [b"first image"], write_tar)
    (folder / "000000.tar").unlink()
    with pytest.raises(BrokenArtifact, match=r"lacks the shard 000000\.tar"):
        open_dataset_folder(folder)
