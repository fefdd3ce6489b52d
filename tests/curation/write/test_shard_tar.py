from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from contracts.errors import BrokenArtifact
from contracts.keys import key_of_bytes
from curation.write.shard_tar import ending_of, write_tar


def picture(colour: int, image_format: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (5, 4), (colour, 0, 0)).save(buffer, image_format)
    return buffer.getvalue()


def sample(data: bytes, **more: Any) -> dict[str, Any]:
    fields = dict.fromkeys(["seed", "query_key", "cosine", "group_id"])
    return {
        "key": key_of_bytes(data),
        "uri": "/pool/ä, 1.png",
        "source": "pool",
        "format": "PNG",
        "width_px": 5,
        "height_px": 4,
        "origin": "pool",
        **fields,
        **more,
    }


def test_members_are_the_original_bytes_and_a_json_in_order(tmp_path: Path) -> None:
    images = [picture(9), picture(3, "JPEG")]
    rows = [sample(images[0], seed="s", cosine=0.123456789), sample(images[1], format="JPEG")]
    write_tar(tmp_path / "a.tar", zip(rows, images, strict=True), with_uri=True)
    with tarfile.open(tmp_path / "a.tar") as tar:
        members = tar.getmembers()
        keys = [row["key"] for row in rows]
        assert [m.name for m in members] == [f"{keys[0]}.png", f"{keys[0]}.json", f"{keys[1]}.jpg", f"{keys[1]}.json"]
        assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members} == {(0, 0, 0, "", "", 0o444)}
        assert [tar.extractfile(m).read() for m in members[::2]] == images  # type: ignore[union-attr]
        told = json.loads(tar.extractfile(members[1]).read())  # type: ignore[union-attr]
    assert told == {
        "key": keys[0],
        "uri": "/pool/ä, 1.png",
        "source": "pool",
        "width_px": 5,
        "height_px": 4,
        "origin": "pool",
        "seed": "s",
        "cosine": 0.123457,
    }


def test_the_same_samples_give_the_same_bytes(tmp_path: Path) -> None:
    data = picture(1)
    for name in ("a.tar", "b.tar"):
        write_tar(tmp_path / name, [(sample(data), data)], with_uri=False)
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    assert b"/pool" not in (tmp_path / "a.tar").read_bytes()


def test_an_image_that_changed_since_it_was_catalogued_is_told(tmp_path: Path) -> None:
    with pytest.raises(BrokenArtifact, match="has changed since it was catalogued"):
        write_tar(tmp_path / "a.tar", [(sample(picture(1)), picture(2))], with_uri=True)


@pytest.mark.parametrize(
    ("name", "ending"), [("JPEG", "jpg"), ("MPO", "jpg"), ("WEBP", "webp"), ("TIFF", "tif"), (None, "bin")]
)
def test_endings(name: str | None, ending: str) -> None:
    assert ending_of(name) == ending


def test_webdataset_reads_the_shard(tmp_path: Path) -> None:
    import webdataset

    images = [picture(n) for n in range(3)]
    rows = [sample(data) for data in images]
    write_tar(tmp_path / "a.tar", zip(rows, images, strict=True), with_uri=True)
    read = list(webdataset.WebDataset(str(tmp_path / "a.tar"), shardshuffle=False))
    assert [(item["__key__"], item["png"]) for item in read] == [
        (row["key"], data) for row, data in zip(rows, images, strict=True)
    ]
