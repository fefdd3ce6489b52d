"""Retry: what was quarantined and can be read now is catalogued; nothing else of the catalogue changes."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from tests.curation.sources.download.image_server import image_server

from contracts.publish import sha256_file
from curation.catalog import read_catalog
from curation.engine import open_engine
from curation.ingest.config import IngestConfig
from curation.ingest.ingest import IngestReport, ingest
from curation.ingest.retry import RetryReport, retry_failed


def jpeg(seed: int, side: int = 24) -> bytes:
    out = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(out, "JPEG")
    return out.getvalue()


def run(source: Path, catalog: Path, **settings: object) -> IngestReport:
    with open_engine("local") as engine:
        return ingest([str(source)], catalog, IngestConfig.model_validate(settings), engine)


def again(catalog: Path, **settings: object) -> RetryReport:
    with open_engine("local") as engine:
        return retry_failed(catalog, IngestConfig.model_validate(settings), engine)


def usable(catalog: Path) -> int:
    return read_catalog(catalog, ["error"]).column("error").null_count


def write_tar(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))


def test_a_mended_file_is_catalogued_and_a_broken_one_stays(tmp_path: Path) -> None:
    pool, catalog = tmp_path / "pool", tmp_path / "catalog"
    pool.mkdir()
    for i in range(6):
        (pool / f"{i}.jpg").write_bytes(jpeg(i))
    (pool / "mended.jpg").write_bytes(b"")
    (pool / "page.jpg").write_bytes(b"<html></html>")
    assert run(pool, catalog).quarantined == 2
    (pool / "mended.jpg").write_bytes(jpeg(9))
    report = again(catalog)
    assert (report.retried, report.recovered, report.quarantined) == (2, 1, 1)
    assert report.reasons == {"not_an_image": 1}
    assert usable(catalog) == 7
    before = {path.name: sha256_file(path) for path in catalog.iterdir()}
    assert again(catalog).recovered == 0
    assert {path.name: sha256_file(path) for path in catalog.iterdir()} == before


def test_a_raised_limit_lets_small_images_in(tmp_path: Path) -> None:
    pool, catalog = tmp_path / "pool", tmp_path / "catalog"
    pool.mkdir()
    (pool / "large.jpg").write_bytes(jpeg(1, 64))
    (pool / "small.jpg").write_bytes(jpeg(2, 16))
    assert run(pool, catalog, limits={"min_side_px": 32}).quarantined == 1
    report = again(catalog, limits={"min_side_px": 8})
    assert (report.retried, report.recovered, report.quarantined) == (1, 1, 0)


def test_an_archive_that_broke_off_is_read_from_its_beginning(tmp_path: Path) -> None:
    archive, catalog = tmp_path / "shard.tar", tmp_path / "catalog"
    write_tar(archive, {f"{i}.jpg": jpeg(i, 48) for i in range(8)})
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    assert run(archive, catalog).quarantined == 1
    assert usable(catalog) < 8
    archive.write_bytes(whole)
    report = again(catalog)
    assert report.quarantined == 0
    assert usable(catalog) == 8


def test_rows_of_a_table_are_read_by_their_number(tmp_path: Path) -> None:
    table, catalog = tmp_path / "images.parquet", tmp_path / "catalog"
    cells = [jpeg(0), b"", jpeg(2)]
    pq.write_table(pa.table({"image": [{"bytes": data, "path": None} for data in cells]}), table)
    assert run(table, catalog).quarantined == 1
    cells[1] = jpeg(1)
    pq.write_table(pa.table({"image": [{"bytes": data, "path": None} for data in cells]}), table)
    report = again(catalog)
    assert (report.retried, report.recovered, report.quarantined) == (1, 1, 0)
    assert usable(catalog) == 3


def test_a_table_that_could_not_be_opened_gives_all_its_rows_once(tmp_path: Path) -> None:
    pool, catalog = tmp_path / "pool", tmp_path / "catalog"
    pool.mkdir()
    (pool / "a.jpg").write_bytes(jpeg(1))
    (pool / "broken.parquet").write_text("no table")
    assert run(pool, catalog).reasons == {"not_an_image": 1}
    assert again(catalog).reasons == {"not_an_image": 1}
    cells = [{"bytes": jpeg(i), "path": None} for i in range(2, 5)]
    pq.write_table(pa.table({"image": cells}), pool / "broken.parquet")
    report = again(catalog)
    assert (report.retried, report.quarantined) == (1, 0)
    assert usable(catalog) == 4
    assert run(pool, catalog).offered == 4


def test_a_table_of_addresses_that_could_not_be_opened_is_downloaded_once(tmp_path: Path) -> None:
    pool, catalog = tmp_path / "pool", tmp_path / "catalog"
    pool.mkdir()
    (pool / "a.jpg").write_bytes(jpeg(1))
    (pool / "broken.parquet").write_text("no table")
    run(pool, catalog)
    with image_server() as server:
        server.files = {f"/{i}.jpg": jpeg(10 + i) for i in range(5)}
        addresses = [server.url(path) for path in server.files]
        pq.write_table(pa.table({"url": addresses}), pool / "broken.parquet")
        settings = {"download": {"allow_private": True, "part_rows": 2, "tries": 1}}
        assert again(catalog, **settings).quarantined == 0
        assert usable(catalog) == 6
        assert run(pool, catalog, **settings).offered == 6
