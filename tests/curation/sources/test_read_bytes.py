"""Listing and reading back: folders, archives, tables and lists, in one order, and what is gone gives no bytes."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contracts.errors import MissingInput, UserError
from curation.sources.archives import iterate_images
from curation.sources.listing import list_source
from curation.sources.read_bytes import read_bytes
from curation.sources.tables import image_column
from curation.sources.tar_members import CutArchive
from curation.sources.uri import file_uri, member_uri


def write_tar(file: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(file, "w") as tar:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def write_table(file: Path, cells: list[bytes | None], group: int = 2) -> None:
    structs = [None if cell is None else {"bytes": cell, "path": "x.jpg"} for cell in cells]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(
        pa.table({"label": list(range(len(cells))), "image": pa.array(structs, kind)}), file, row_group_size=group
    )


def test_bytes_come_back_in_the_order_asked(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"file")
    write_tar(tmp_path / "t.tar", {"1.jpg": b"one", "1.json": b"{}", "d/2.jpg": b"two"})
    write_table(tmp_path / "p.parquet", [b"r0", b"r1", None, b"r3", b"r4"])
    uris = [
        member_uri(tmp_path / "p.parquet", 4),
        member_uri(tmp_path / "t.tar", "d/2.jpg"),
        file_uri(tmp_path / "a.jpg"),
        member_uri(tmp_path / "p.parquet", 0),
        member_uri(tmp_path / "t.tar", "1.jpg"),
    ]
    assert list(read_bytes(uris)) == [b"r4", b"two", b"file", b"r0", b"one"]
    gone = [
        file_uri(tmp_path / "none.jpg"),
        member_uri(tmp_path / "t.tar", "3.jpg"),
        member_uri(tmp_path / "none.tar", "3.jpg"),
        member_uri(tmp_path / "p.parquet", 2),
        member_uri(tmp_path / "p.parquet", 99),
    ]
    assert list(read_bytes(gone)) == [b""] * 5


def test_a_member_cannot_lead_out_of_its_archive(tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    write_tar(tmp_path / "t.tar", {"1.jpg": b"one"})
    with tarfile.open(tmp_path / "t.tar", "a") as tar:
        link = tarfile.TarInfo("link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "secret.jpg")
        tar.addfile(link)
    assert [name for name, _ in iterate_images(str(tmp_path / "t.tar"))] == ["1.jpg"]
    asked = [
        member_uri(tmp_path / "t.tar", name) for name in ("link.jpg", "../secret.jpg", str(tmp_path / "secret.jpg"))
    ]
    assert list(read_bytes(asked)) == [b"", b"", b""]


@pytest.mark.parametrize("keep", [512 + 100, 512 + 512, 2 * 1024])
def test_a_cut_archive_gives_what_it_has_and_says_so(tmp_path: Path, keep: int) -> None:
    file = tmp_path / "t.tar"
    write_tar(file, {f"{i}.jpg": bytes([i]) * 400 for i in range(4)})
    file.write_bytes(file.read_bytes()[:keep])
    seen = []
    with pytest.raises(CutArchive):
        for name, data in iterate_images(str(file)):
            seen.append((name, len(data)))
    assert seen == [(f"{i}.jpg", 400) for i in range(len(seen))]
    assert len(seen) < 4


def test_a_folder_lists_files_archives_and_tables(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("z.jpg", "b/a.png", "b/notes.md"):
        (tmp_path / name).write_bytes(b"x")
    write_tar(tmp_path / "00000.tar", {"1.jpg": b"one"})
    pq.write_table(pa.table({"url": ["u"], "key": ["1"]}), tmp_path / "00000.parquet")
    write_table(tmp_path / "p.parquet", [b"r0"])
    listing = list_source(str(tmp_path))
    files = [Path(f).relative_to(tmp_path).as_posix() for f in listing.files.to_pylist()]
    assert files == ["b/a.png", "b/notes.md", "z.jpg"]
    assert [(Path(f).name, rows) for f, rows in listing.tables] == [("p.parquet", 1)]
    assert [(Path(a).name, Path(d).name) for a, d in listing.archives] == [("00000.tar", "00000.parquet")]


def test_lists_patterns_and_single_files(tmp_path: Path) -> None:
    for number in range(3):
        write_tar(tmp_path / f"{number:03d}.tar", {"1.jpg": b"one"})
    (tmp_path / "a.jpg").write_bytes(b"x")
    (tmp_path / "list.txt").write_text("# photos\na.jpg\n\n001.tar\n")
    listing = list_source(str(tmp_path / "list.txt"))
    assert [Path(f).name for f in listing.files.to_pylist()] == ["a.jpg"]
    assert [Path(a).name for a, _ in listing.archives] == ["001.tar"]
    assert len(list_source(f"{tmp_path}/{{000..002}}.tar").archives) == 3
    assert list_source(str(tmp_path / "a.jpg")).files.to_pylist() == [str(tmp_path / "a.jpg")]
    with pytest.raises(MissingInput, match=r"003\.tar"):
        list_source(f"{tmp_path}/{{000..004}}.tar")


def test_what_offers_nothing_is_said(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="there is no"):
        list_source(str(tmp_path / "none"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="offers no image"):
        list_source(str(tmp_path / "empty"))
    pq.write_table(pa.table({"link": ["u"]}), tmp_path / "urls.parquet")
    with pytest.raises(UserError, match="found: link"):
        list_source(str(tmp_path / "urls.parquet"))
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match="not a readable Parquet"):
        list_source(str(tmp_path / "bad.parquet"))


def test_the_preferred_column_is_the_image() -> None:
    schema = pa.schema([("thumb", pa.binary()), ("image", pa.struct([("bytes", pa.binary())])), ("label", pa.int64())])
    assert image_column(schema) == "image"
    assert image_column(pa.schema([("label", pa.int64())])) is None
