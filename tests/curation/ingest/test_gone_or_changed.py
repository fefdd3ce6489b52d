"""Files that were deleted, replaced or moved after ingest: a rerun notices, counts, and changes nothing else."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from PIL import Image

from contracts.dataset_folder import read_dataset
from contracts.errors import BrokenArtifact, UserError
from contracts.keys import key_of_bytes
from contracts.publish import sha256_file
from curation import api
from curation.catalog import read_catalog
from curation.engine import open_engine
from curation.ingest.config import IngestConfig
from curation.ingest.ingest import IngestReport, ingest
from curation.ingest.retry import retry_failed
from curation.write.datacomp_subset import subset_array


def png(seed: int) -> bytes:
    """Pictures of one size have files of one size, whatever they show."""
    out = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (12, 12, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(out, "BMP")
    return out.getvalue()


def run(source: Path | list[Path], catalog: Path, **settings: object) -> IngestReport:
    sources = [str(one) for one in (source if isinstance(source, list) else [source])]
    with open_engine("local") as engine:
        return ingest(sources, catalog, IngestConfig(**settings), engine)  # type: ignore[arg-type]


def counts(report: IngestReport) -> tuple[int, int, int, int]:
    assert report.offered == report.catalogued + report.quarantined
    return report.changed, report.gone, report.back, report.offered_now


def rows(catalog: Path) -> dict[str, tuple[str | None, str | None]]:
    table = read_catalog(catalog, ["uri", "key", "error"]).to_pylist()
    assert len({row["uri"] for row in table}) == len(table)
    return {Path(row["uri"]).name: (row["key"], row["error"]) for row in table}


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    for number in range(6):
        path = tmp_path / "pool" / "abc"[number % 3] / f"{number}.bmp"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(number))
    return tmp_path / "pool"


def tar_of(path: Path, numbers: list[int]) -> None:
    with tarfile.open(path, "w") as tar:
        for number in numbers:
            info = tarfile.TarInfo(f"{number:03d}.bmp")
            info.size = len(png(number))
            tar.addfile(info, io.BytesIO(png(number)))


def test_deleted_changed_touched_and_returned_files(pool: Path, tmp_path: Path) -> None:
    catalog = tmp_path / "c/catalog"
    assert counts(run(pool, catalog)) == (0, 0, 0, 6)
    (pool / "a/0.bmp").unlink()
    (pool / "b/1.bmp").write_bytes(png(101))  # another picture of the same size
    os.utime(pool / "b/1.bmp", ns=(0, 0))  # whose date says nothing
    (pool / "c/2.bmp").touch()
    report = run(pool, catalog)
    assert counts(report) == (1, 1, 0, 1)
    assert report.reasons == {"gone": 1}
    assert rows(catalog)["0.bmp"] == (key_of_bytes(png(0)), "gone: the source does not offer it any more")
    assert rows(catalog)["1.bmp"] == (key_of_bytes(png(101)), None)
    before = {path.name: sha256_file(path) for path in catalog.iterdir()}
    assert counts(run(pool, catalog)) == (0, 0, 0, 0)
    with open_engine("local") as engine:
        assert retry_failed(catalog, IngestConfig(), engine).retried == 0
    assert {path.name: sha256_file(path) for path in catalog.iterdir()} == before
    (pool / "a/0.bmp").write_bytes(png(100))
    assert counts(run(pool, catalog)) == (0, 0, 1, 1)
    assert rows(catalog)["0.bmp"] == (key_of_bytes(png(100)), None)


def test_a_file_that_was_mended_is_read_again_and_one_that_cannot_be_read_says_why(pool: Path, tmp_path: Path) -> None:
    (pool / "a/0.bmp").write_bytes(png(0)[:100])
    listed = tmp_path / "list.txt"
    listed.write_text("pool/a/0.bmp\npool/b/1.bmp\n")
    report = run(listed, tmp_path / "c/catalog")
    assert report.quarantined == 1
    (pool / "a/0.bmp").write_bytes(png(0))
    (pool / "b/1.bmp").unlink()
    assert counts(run(listed, tmp_path / "c/catalog")) == (2, 0, 0, 2)
    assert rows(tmp_path / "c/catalog")["0.bmp"] == (key_of_bytes(png(0)), None)
    assert (rows(tmp_path / "c/catalog")["1.bmp"][1] or "").startswith("unreadable: No such file")
    listed.write_text("pool/a/0.bmp\n")
    assert counts(run(listed, tmp_path / "c/catalog")) == (0, 1, 0, 0)


def test_other_sources_are_left_alone_and_an_empty_one_changes_nothing(pool: Path, tmp_path: Path) -> None:
    catalog = tmp_path / "c/catalog"
    run([pool / "a", pool / "b"], catalog)
    for path in (pool / "a").iterdir():
        path.unlink()
    (pool / "b/1.bmp").unlink()
    assert counts(run(pool / "b", catalog)) == (0, 1, 0, 0)
    with pytest.raises(UserError, match="offers no image"):  # as an unmounted share does
        run([pool / "a", pool / "b"], catalog)
    assert sum(error is not None for _, error in rows(catalog).values()) == 1


def test_archives_and_tables_are_read_again_when_they_were_written_again(tmp_path: Path) -> None:
    (tmp_path / "pool").mkdir()
    tar_of(tmp_path / "pool/0.tar", [0, 1, 2])
    tar_of(tmp_path / "pool/1.tar", [3])
    pq.write_table(pa.table({"image": [png(n) for n in (10, 11)]}), tmp_path / "pool/2.parquet")
    catalog = tmp_path / "c/catalog"
    assert counts(run(tmp_path / "pool", catalog)) == (0, 0, 0, 6)
    assert counts(run(tmp_path / "pool", catalog)) == (0, 0, 0, 0)
    tar_of(tmp_path / "pool/0.tar", [1, 5])
    pq.write_table(pa.table({"image": [png(n) for n in (10, 12, 13)]}), tmp_path / "pool/2.parquet")
    (tmp_path / "pool/1.tar").unlink()
    assert counts(run(tmp_path / "pool", catalog)) == (5, 1, 0, 5)
    found = rows(catalog)
    assert sorted(found) == ["0.tar#001.bmp", "0.tar#005.bmp", "1.tar#003.bmp", *(f"2.parquet#{n}" for n in range(3))]
    assert found["2.parquet#1"] == (key_of_bytes(png(12)), None)


def test_what_a_subset_no_longer_names_is_gone_and_without_one_all_is_offered(tmp_path: Path) -> None:
    (tmp_path / "pool").mkdir()
    uids = [f"{n:032x}" for n in range(4)]
    pq.write_table(pa.table({"image": [png(n) for n in range(4)], "uid": uids}), tmp_path / "pool/2.parquet")
    tar_of(tmp_path / "pool/0.tar", [4, 5])
    table = pa.table({"key": ["004", "005"], "uid": [f"{n:032x}" for n in (4, 5)]})
    pq.write_table(table, tmp_path / "pool/0.parquet")
    file = tmp_path / "s.npy"
    cut = {"subsets": {str(tmp_path / "pool"): str(file)}}
    np.save(file, subset_array([uids[0], uids[1], f"{4:032x}"]))
    assert counts(run(tmp_path / "pool", tmp_path / "c/catalog", **cut)) == (0, 0, 0, 3)
    np.save(file, subset_array([uids[1], uids[2], f"{5:032x}"]))
    assert counts(run(tmp_path / "pool", tmp_path / "c/catalog", **cut)) == (0, 2, 0, 2)
    assert run(tmp_path / "pool", tmp_path / "c/catalog", **cut).offered_now == 0
    whole = run(tmp_path / "pool", tmp_path / "c/catalog")
    assert (whole.offered, whole.catalogued) == (6, 6)
    assert run(tmp_path / "pool", tmp_path / "c/catalog").offered_now == 0


def test_build_names_the_file_that_was_replaced_and_writes_nothing_wrong(pool: Path, tmp_path: Path) -> None:
    place = api.init(tmp_path / "w", api.NewWorkspace([str(pool)]))
    config = place.config(["engine.kind=local"])
    with api.open_engine("local") as engine:
        api.ingest(place, config, engine)
        (pool / "b/1.bmp").write_bytes(png(101))
        with pytest.raises(BrokenArtifact, match=r"b/1\.bmp has changed since it was catalogued"):
            api.build(place, config, engine)
        assert not place.dataset.exists()
        (pool / "b/1.bmp").unlink()
        with pytest.raises(BrokenArtifact, match=r"b/1\.bmp is no longer there"):
            api.build(place, config, engine)
        (pool / "b/1.bmp").write_bytes(png(101))
        (pool / "a/0.bmp").unlink()
        api.ingest(place, config, engine)
        assert api.build(place, config, engine).samples == 5
    keys = set(read_dataset(place.dataset).manifest().column("key").to_pylist())
    assert keys == {key_of_bytes(png(n)) for n in (101, 2, 3, 4, 5)}
    assert api.verify(place.dataset).problems == []
    assert "quarantined: gone" in str([one.decision for one in api.explain(place, key_of_bytes(png(0)))])
    catalog = read_catalog(place.catalog, ["status"])
    assert pc.sum(pc.equal(catalog.column("status").cast(pa.string()), "ok")).as_py() == 5
