"""Ingest: everything offered is catalogued or quarantined, nothing is read twice, and a kill changes no byte."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from PIL import Image

from contracts.errors import UserError
from contracts.keys import key_of_bytes
from contracts.publish import sha256_file
from curation.catalog import part_numbers, read_catalog, unique_images
from curation.engine import open_engine
from curation.engine.ray_engine import RayEngine
from curation.ingest.config import IngestConfig
from curation.ingest.ingest import IngestReport, ingest
from curation.ingest.phash import phash
from curation.ingest.retry import retry_failed
from curation.sources.read_bytes import read_bytes


def jpeg(seed: int, side: int = 24) -> bytes:
    out = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(out, "JPEG")
    return out.getvalue()


def run(pool: Path | list[str], catalog: Path, **settings: int) -> IngestReport:
    sources = pool if isinstance(pool, list) else [str(pool)]
    with open_engine("local") as engine:
        return ingest(sources, catalog, IngestConfig(**settings), engine)


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    folder = tmp_path / "pool"
    (folder / "sub").mkdir(parents=True)
    for i in range(300):
        (folder / "sub" / f"{i:03d}.jpg").write_bytes(jpeg(i % 290))  # ten exact copies
    (folder / "cut.jpg").write_bytes(jpeg(1)[:200])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "page.html").write_bytes(b"<html></html>")
    (folder / "gone.jpg").symlink_to(folder / "nowhere.jpg")
    (folder / os.fsdecode(b"odd\xff\nname, '.jpg")).write_bytes(jpeg(1000))
    return folder


def sums(folder: Path) -> dict[str, str]:
    return {path.name: sha256_file(path) for path in sorted(folder.iterdir())}


def test_offered_is_catalogued_plus_quarantined(pool: Path, tmp_path: Path) -> None:
    report = run(pool, tmp_path / "c")
    assert (report.offered, report.catalogued, report.quarantined, report.distinct) == (305, 301, 4, 291)
    assert report.reasons == {"empty": 1, "not_an_image": 1, "truncated": 1, "unreadable": 1}
    table = read_catalog(tmp_path / "c")
    bad = table.filter(pc.equal(table.column("status"), "quarantined")).to_pylist()
    assert all(row["error"] for row in bad)
    unique = unique_images(tmp_path / "c")
    keys = unique.column("key").to_pylist()
    assert keys == sorted(set(keys))
    assert len(keys) == 291


def test_a_rerun_reads_nothing_and_new_files_make_new_parts(pool: Path, tmp_path: Path) -> None:
    run(pool, tmp_path / "c")
    before = sums(tmp_path / "c")
    assert run(pool, tmp_path / "c").offered_now == 0
    assert sums(tmp_path / "c") == before
    (pool / "later.jpg").write_bytes(jpeg(2000))
    report = run(pool, tmp_path / "c")
    assert (report.offered_now, report.offered) == (1, 306)
    assert before.items() <= sums(tmp_path / "c").items()


def test_a_rerun_without_anything_to_read_starts_no_ray(pool: Path, tmp_path: Path) -> None:
    first = run(pool, tmp_path / "catalog")
    engine = RayEngine()
    again = ingest([str(pool)], tmp_path / "catalog", IngestConfig(), engine)
    assert (again.catalogued, again.offered_now) == (first.catalogued, 0)
    assert engine._ray is None


def test_parts_that_a_kill_left_out_come_back_with_the_same_bytes(pool: Path, tmp_path: Path) -> None:
    run(pool, tmp_path / "whole")
    wanted = sums(tmp_path / "whole")
    assert len(wanted) > 2
    for lost in wanted:
        run(pool, tmp_path / "c")
        (tmp_path / "c" / lost).unlink()
        (tmp_path / "c" / f"{lost}.draft-1-a").write_bytes(b"half")
        run(pool, tmp_path / "c")
        assert sums(tmp_path / "c") == wanted


@pytest.mark.faults
def test_a_killed_ingest_goes_on_and_ends_with_the_same_bytes(pool: Path, tmp_path: Path) -> None:
    run(pool, tmp_path / "whole")
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from curation.engine import open_engine\n"
        "from curation.ingest.config import IngestConfig\n"
        "import curation.ingest.catalogue_part as step\n"
        "from curation.ingest.ingest import ingest\n"
        "real, left = step.write_table, [1]\n"
        "def dying(*args):\n"
        "    if not left.pop(): os.kill(os.getpid(), signal.SIGKILL)\n"
        "    left.append(0)\n"
        "    real(*args)\n"
        "step.write_table = dying\n"
        "with open_engine('local') as engine:\n"
        f"    ingest([{str(pool)!r}], Path({str(tmp_path / 'c')!r}), IngestConfig(), engine)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -signal.SIGKILL
    assert part_numbers(tmp_path / "c") == [0]
    run(pool, tmp_path / "c")
    assert sums(tmp_path / "c") == sums(tmp_path / "whole")


def test_archives_and_tables_are_catalogued_by_member_and_row(tmp_path: Path) -> None:
    pool = tmp_path / "pool"
    pool.mkdir()
    with tarfile.open(pool / "0.tar", "w") as tar:
        for i in range(3):
            for name, data in ((f"{i}.jpg", jpeg(i)), (f"{i}.json", b"{}")):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    cells = [{"bytes": jpeg(i), "path": None} for i in range(200)] + [{"bytes": None, "path": None}]
    pq.write_table(pa.table({"image": cells, "label": [0] * 201}), pool / "t.parquet", row_group_size=64)
    report = run(pool, tmp_path / "c")
    assert (report.offered, report.catalogued, report.distinct, report.reasons) == (204, 203, 200, {"empty": 1})
    uris = [uri.rpartition("/")[2] for uri in read_catalog(tmp_path / "c", ["uri"]).column("uri").to_pylist()]
    assert {"0.tar#0.jpg", "0.tar#2.jpg", "t.parquet#0", "t.parquet#200"} <= set(uris)
    assert run(pool, tmp_path / "c").offered_now == 0


def test_the_rest_of_a_cut_archive_is_counted(tmp_path: Path) -> None:
    file = tmp_path / "0.tar"
    with tarfile.open(file, "w") as tar:
        for i in range(4):
            member = tarfile.TarInfo(f"{i}.jpg")
            member.size = len(jpeg(i))
            tar.addfile(member, io.BytesIO(jpeg(i)))
    file.write_bytes(file.read_bytes()[:3000])
    report = run([str(file)], tmp_path / "c")
    assert report.reasons == {"truncated": 1}
    assert report.catalogued >= 1


def test_a_pool_without_a_usable_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pool").mkdir()
    (tmp_path / "pool" / "a.txt2").write_bytes(b"hello")
    with pytest.raises(UserError, match="none of the 1 files offered is a usable image"):
        run(tmp_path / "pool", tmp_path / "c")


def test_the_hash_survives_recompression_and_tells_pictures_apart() -> None:
    rng = np.random.default_rng(3)
    picture = np.kron(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8), np.ones((16, 16, 1), np.uint8))
    out = io.BytesIO()
    Image.fromarray(picture).resize((96, 96)).save(out, "JPEG", quality=60)
    again = np.asarray(Image.open(out))
    assert (phash(picture) ^ phash(again)).bit_count() <= 8
    assert (phash(picture) ^ phash(picture[::-1].copy())).bit_count() > 12


def test_of_members_of_one_name_the_first_stands_everywhere(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "0.tar", "w") as tar:
        for seed in (1, 2):
            member = tarfile.TarInfo("same.jpg")
            member.size = len(jpeg(seed))
            tar.addfile(member, io.BytesIO(jpeg(seed)))
    report = run(tmp_path / "0.tar", tmp_path / "c")
    assert (report.offered, report.catalogued, report.reasons) == (2, 1, {"repeated": 1})
    row = unique_images(tmp_path / "c").to_pylist()[0]
    assert list(read_bytes([row["uri"]])) == [jpeg(1)]
    assert key_of_bytes(jpeg(1)) == row["key"]
    with open_engine("local") as engine:
        assert retry_failed(tmp_path / "c", IngestConfig(), engine).retried == 0
