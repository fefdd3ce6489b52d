"""Downloads on disk: every address has its row, failures say why, and only failures are asked for again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.curation.sources.download.image_server import ImageServer, image_server

from curation.decode import BadImage
from curation.sources.download.config import DownloadConfig
from curation.sources.download.store import ROWS_PER_GROUP, fill_store, is_store, read_store, refill_store, store_file

SETTINGS = DownloadConfig(allow_private=True, wait_seconds=0.01, timeout_seconds=5, per_host=3, tries=2)


@pytest.fixture
def server() -> Iterator[ImageServer]:
    with image_server() as running:
        yield running


def write_urls(file: Path, server: ImageServer, count: int) -> None:
    paths = [f"/{n}.jpg" for n in range(count)]
    server.files = {path: f"image {path}".encode() * 50 for path in paths}
    sums = [hashlib.sha256(server.files[path]).hexdigest() for path in paths]
    table = pa.table({"URL": [server.url(path) for path in paths], "sha256": sums, "TEXT": ["x"] * count})
    pq.write_table(table, file, row_group_size=30)


def shown(store: Path) -> list[bytes | str]:
    return [str(one) if isinstance(one, BadImage) else one for one in read_store(str(store))]


def test_rows_keep_their_order_and_failures_their_reason(server: ImageServer, tmp_path: Path) -> None:
    table = tmp_path / "urls.parquet"
    write_urls(table, server, 100)
    good = dict(server.files)
    del server.files["/7.jpg"]
    server.files["/8.jpg"] = b"something else"
    server.failures_first = {"/9.jpg": 1, "/50.jpg": 5}
    store = store_file(tmp_path / "downloads", str(table), 0, 100)
    fill_store(store, str(table), range(100), SETTINGS)
    assert is_store(pq.read_schema(store))
    found = shown(store)
    assert found[7] == "not_downloaded: HTTP 404"
    assert str(found[8]).startswith("changed: ")
    assert found[50] == "not_downloaded: HTTP 503"
    assert [found[n] for n in range(100) if n not in (7, 8, 50)] == [
        good[f"/{n}.jpg"] for n in range(100) if n not in (7, 8, 50)
    ]
    assert server.asked["/9.jpg"] == server.asked["/50.jpg"] == 2
    assert server.asked["/7.jpg"] == 1
    assert server.busiest <= SETTINGS.per_host
    assert pq.ParquetFile(store).metadata.row_group(0).num_rows == ROWS_PER_GROUP


def test_only_failures_are_tried_again(server: ImageServer, tmp_path: Path) -> None:
    table = tmp_path / "urls.parquet"
    write_urls(table, server, 70)
    lost = server.files.pop("/66.jpg")
    store = store_file(tmp_path / "downloads", str(table), 60, 70)
    fill_store(store, str(table), range(60, 70), SETTINGS)
    before = shown(store)
    assert before[6] == "not_downloaded: HTTP 404"
    server.asked.clear()
    fill_store(store, str(table), range(60, 70), SETTINGS)
    assert not server.asked, "what is published is not asked for"
    assert refill_store(store, SETTINGS) == 0
    server.files["/66.jpg"] = lost
    assert refill_store(store, SETTINGS) == 1
    assert shown(store) == [*before[:6], lost, *before[7:]]
    assert set(server.asked) == {"/66.jpg"}
    assert refill_store(store, SETTINGS) == 0


def test_a_table_without_addresses_in_some_rows(server: ImageServer, tmp_path: Path) -> None:
    server.files = {"/a.jpg": b"a"}
    table = tmp_path / "urls.parquet"
    pq.write_table(pa.table({"url": [None, server.url("/a.jpg"), ""]}), table)
    store = store_file(tmp_path / "downloads", str(table), 0, 3)
    fill_store(store, str(table), range(3), SETTINGS)
    assert shown(store) == ["not_downloaded: not an http(s) address", b"a", "not_downloaded: not an http(s) address"]
