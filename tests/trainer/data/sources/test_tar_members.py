"""Headers are read by our own walk, so it is held against tarfile, which wrote them."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from contracts.errors import BrokenArtifact
from trainer.data.sources.tar_members import NO_LABEL, index_shard, parse_pax, split_name, walk_members

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


def write(path: Path, members: dict[str, bytes], kind: str) -> None:
    with tarfile.open(path, "w", format=FORMATS[kind]) as tar:
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


@pytest.mark.parametrize("kind", FORMATS)
def test_members_are_those_that_tarfile_finds(tmp_path: Path, kind: str) -> None:
    names = ["a.jpg", "folder/b.png", "p" * 60 + "/" + "q" * 80 + ".jpg"]
    if kind != "ustar":
        names += ["x" * 300 + ".jpg", "Käse/größe.webp"]
    write(tmp_path / "x.tar", {name: bytes([n]) * (n * 700 + 1) for n, name in enumerate(names)}, kind)
    content = (tmp_path / "x.tar").read_bytes()
    found = list(walk_members(content, tmp_path / "x.tar"))
    assert [member.name for member in found] == names
    with tarfile.open(tmp_path / "x.tar") as tar:
        assert [(m.offset_data, m.size, m.offset) for m in tar if m.isfile()] == [
            (m.data, m.size, m.head) for m in found
        ]


def test_pax_records_are_read_by_their_lengths() -> None:
    record = b"path=k\xc3\xa4se.jpg\n"
    content = str(len(record) + 3).encode() + b" " + record + b"12 size=123\n"
    assert parse_pax(content) == {"path": "käse.jpg", "size": "123"}


def test_one_image_a_sample_and_its_label(tmp_path: Path) -> None:
    members = {
        "1.jpg": b"one",
        "1.cls": b"7\n",
        "1.json": b"{}",
        "2.cls": b"3",
        "2.seg.png": b"mask",
        "2.PNG": b"two",
        "3.txt": b"no image",
        "d.e/4.jpg": b"four",
        "d.e/4.png": b"a second image of the sample",
    }
    write(tmp_path / "x.tar", members, "ustar")
    index = index_shard(tmp_path / "x.tar")
    assert index.size.tolist() == [3, 3, 4]
    assert index.label.tolist() == [7, 3, NO_LABEL]


def test_names_split_at_the_first_dot_of_the_last_part() -> None:
    assert split_name("a.b/c.seg.PNG") == ("a.b/c", "seg.png")
    assert split_name("plain") == ("plain", "")


@pytest.mark.parametrize("content", [b"", b"not a tar at all" * 100, b"\x1f\x8b" + b"z" * 2000])
def test_what_is_no_tar_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(BrokenArtifact, match=r"x\.tar"):
        index_shard(tmp_path / "x.tar")


def test_a_damaged_header_is_named_with_its_place(tmp_path: Path) -> None:
    write(tmp_path / "x.tar", {"1.jpg": b"1" * 100, "2.jpg": b"2" * 100}, "ustar")
    content = bytearray((tmp_path / "x.tar").read_bytes())
    content[512 * 3 + 130] ^= 1
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(BrokenArtifact, match="byte 1536"):
        index_shard(tmp_path / "x.tar")


def test_a_cut_tar_keeps_what_is_whole_and_the_cut_member(tmp_path: Path) -> None:
    write(tmp_path / "x.tar", {"1.jpg": b"1" * 1000, "2.jpg": b"2" * 1000}, "ustar")
    whole = index_shard(tmp_path / "x.tar")
    content = (tmp_path / "x.tar").read_bytes()
    (tmp_path / "x.tar").write_bytes(content[: int(whole.data[1]) + 10])
    assert index_shard(tmp_path / "x.tar").data.tolist() == whole.data.tolist()
