from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contracts.errors import UserError
from trainer.data.open_source import open_source
from trainer.data.sources.files import FileSource
from trainer.data.sources.parquet_rows import ParquetSource
from trainer.data.sources.tar_shards import TarSource


@pytest.fixture
def shards(tmp_path: Path, image_bytes: Callable[..., bytes], write_tar: Callable[..., Path]) -> Path:
    folder = tmp_path / "shards"
    folder.mkdir()
    for shard in range(3):
        write_tar(folder / f"part-{shard:03d}.tar", {f"{n}.jpg": image_bytes(n) for n in range(2)})
    return folder


def test_a_folder_of_images(image_folder: Path) -> None:
    source = open_source(image_folder)
    assert isinstance(source, FileSource)
    assert len(source) == 6


def test_tars_by_folder_pattern_braces_list_and_name(shards: Path) -> None:
    specs = {
        str(shards): 6,
        f"{shards}/part-*.tar": 6,
        f"{shards}/part-{{000..001}}.tar": 4,
        f"{shards}/part-000.tar::{shards}/part-002.tar": 4,
        f"{shards}/part-001.tar": 2,
    }
    for spec, images in specs.items():
        source = open_source(spec)
        assert isinstance(source, TarSource)
        assert len(source) == images, spec


def test_parquet_in_a_folder_or_below_it(tmp_path: Path, image_bytes: Callable[..., bytes]) -> None:
    (tmp_path / "set" / "data").mkdir(parents=True)
    table = pa.table({"image": [{"bytes": image_bytes(0), "path": None}]})
    pq.write_table(table, tmp_path / "set" / "data" / "train-00000.parquet")
    for spec in (tmp_path / "set", tmp_path / "set" / "data", tmp_path / "set" / "data" / "train-*.parquet"):
        assert isinstance(open_source(spec), ParquetSource)


def test_a_list(image_folder: Path) -> None:
    listing = image_folder / "list.txt"
    listing.write_text("cat/0.jpg\ndog/4.jpg\n")
    assert len(open_source(listing)) == 2


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("{tmp}/absent", "there is no"),
        ("{tmp}/part-{000..004}.tar", "part-003.tar"),
        ("{tmp}/empty", "no images"),
        ("{tmp}/notes.md", "ends in .md"),
        ("{tmp}/none-*.tar", "there is no"),
    ],
)
def test_what_cannot_be_opened_is_said(tmp_path: Path, shards: Path, spec: str, words: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.md").write_text("no image")
    for shard in shards.iterdir():
        shard.rename(tmp_path / shard.name)
    with pytest.raises(UserError, match=words):
        open_source(spec.replace("{tmp}", str(tmp_path)))
