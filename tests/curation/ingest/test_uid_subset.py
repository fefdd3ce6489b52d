"""DataComp subsets as a filter: only the uids named are offered, each once, and all are counted."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from contracts.errors import ConfigError, MissingInput, UserError
from contracts.publish import sha256_file
from curation import api
from curation.catalog import read_catalog
from curation.engine import open_engine
from curation.ingest.config import IngestConfig
from curation.ingest.ingest import IngestReport, ingest
from curation.ingest.retry import retry_failed
from curation.sources.uid_subset import UidSubset
from curation.write.datacomp_subset import subset_array


def png(seed: int) -> bytes:
    out = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (12, 12, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def uid(number: int) -> str:
    return f"{number * 0x0123456789ABCDEF0123456789ABCDEF % (1 << 128):032x}"


def tar_of(path: Path, numbers: range, *, with_json: bool, images: bool = True) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for number in numbers:
            members = {f"{number:09d}.png": png(number)} if images else {}
            if with_json:
                members[f"{number:09d}.json"] = json.dumps({"uid": uid(number)}).encode()
            for name, data in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


def pool(root: Path) -> Path:
    """Uids 0..9 in a tar with JSON, 10..19 in a tar with a table (17 failed), 20..29 in a table, and a loose file."""
    tar_of(root / "pool/0.tar", range(10), with_json=True)
    tar_of(root / "pool/1.tar", range(10, 17), with_json=False)
    rows = {"key": [f"{n:09d}" for n in range(10, 20)], "uid": [uid(n) for n in range(10, 20)]}
    pq.write_table(pa.table({**rows, "status": ["success"] * 7 + ["failed_to_download"] * 3}), root / "pool/1.parquet")
    table = {"image": [png(n) for n in range(20, 30)], "uid": [uid(n) for n in range(20, 30)]}
    pq.write_table(pa.table(table), root / "pool/2.parquet", row_group_size=3)
    (root / "pool/loose.png").write_bytes(png(99))
    return root / "pool"


def write_subset(file: Path, numbers: list[int]) -> str:
    np.save(file, subset_array([uid(number) for number in numbers]))
    return str(file)


def run(source: Path, catalog: Path, file: str) -> IngestReport:
    with open_engine("local") as engine:
        return ingest([str(source)], catalog, IngestConfig(subsets={str(source): file}), engine)


def uris(catalog: Path) -> list[str]:
    return sorted(Path(uri).name for uri in read_catalog(catalog, ["uri"]).column("uri").to_pylist())


def test_only_named_uids_are_offered_and_all_are_counted(tmp_path: Path) -> None:
    source = pool(tmp_path)
    report = run(source, tmp_path / "c/catalog", write_subset(tmp_path / "s.npy", [3, 8, 12, 17, 21, 29, 77, 78]))
    assert uris(tmp_path / "c/catalog") == [
        "0.tar#000000003.png",
        "0.tar#000000008.png",
        "1.parquet#7",
        "1.tar#000000012.png",
        "2.parquet#1",
        "2.parquet#9",
    ]
    assert (report.offered, report.catalogued, report.reasons) == (6, 5, {"not_downloaded": 1})
    assert [(one.named, one.found, one.missing) for one in report.subsets] == [(8, 6, 2)]


def test_a_rerun_reads_nothing_and_a_larger_subset_only_what_is_new(tmp_path: Path) -> None:
    source = pool(tmp_path)
    first = write_subset(tmp_path / "s.npy", [3, 12, 17, 21])
    run(source, tmp_path / "c/catalog", first)
    before = {path.name: sha256_file(path) for path in (tmp_path / "c/catalog").iterdir()}
    assert run(source, tmp_path / "c/catalog", first).offered_now == 0
    assert {path.name: sha256_file(path) for path in (tmp_path / "c/catalog").iterdir()} == before
    more = run(source, tmp_path / "c/catalog", write_subset(tmp_path / "s.npy", [3, 4, 12, 13, 17, 18, 21, 22]))
    assert (more.offered_now, more.offered) == (4, 8)


def test_samples_without_image_and_archives_that_broke_off_keep_their_subset(tmp_path: Path) -> None:
    tar_of(tmp_path / "pool/a.tar", range(3), with_json=True, images=False)
    tar_of(tmp_path / "pool/b.tar", range(10, 20), with_json=True)
    whole = (tmp_path / "pool/b.tar").read_bytes()
    (tmp_path / "pool/b.tar").write_bytes(whole[: len(whole) // 2])
    file = write_subset(tmp_path / "s.npy", [1, 11, 18])
    source = tmp_path / "pool"
    report = run(source, tmp_path / "c/catalog", file)
    assert report.reasons == {"not_downloaded": 1, "truncated": 1}
    assert report.catalogued == 1
    assert run(source, tmp_path / "c/catalog", file).offered_now == 0
    (tmp_path / "pool/b.tar").write_bytes(whole)
    with open_engine("local") as engine:
        retry_failed(tmp_path / "c/catalog", IngestConfig(subsets={str(source): file}), engine)
    assert uris(tmp_path / "c/catalog") == ["a.tar#000000001", "b.tar#000000011.png", "b.tar#000000018.png"]


def test_the_uids_of_a_built_set_are_a_subset_that_brings_it_back(tmp_path: Path) -> None:
    source = pool(tmp_path)
    place = api.init(tmp_path / "w", api.NewWorkspace([str(source)]))
    config = place.config(["engine.kind=local"])
    with api.open_engine("local") as engine:
        api.ingest(place, config, engine)
        report = api.build(place, config, engine, api.BuildTarget(datacomp_subset=tmp_path / "made.npy"))
    assert report.datacomp_subset is not None
    assert (report.samples, report.datacomp_subset.written) == (28, 27)
    again = run(source, tmp_path / "c/catalog", str(tmp_path / "made.npy"))
    assert (again.catalogued, again.quarantined) == (27, 0)
    assert again.subsets[0].missing == 0


def test_unsorted_and_repeated_entries_are_understood(tmp_path: Path) -> None:
    shuffled = subset_array([uid(n) for n in (5, 6, 7, 7)])[[2, 0, 3, 1]]
    np.save(tmp_path / "s.npy", shuffled)
    subset = UidSubset(str(tmp_path / "s.npy"))
    asked = pa.array([uid(7).upper(), uid(8), "no uid", None, uid(5)])
    assert subset.holds(asked).tolist() == [True, False, False, False, True]
    assert (subset.counts("x").named, subset.counts("x").found) == (3, 2)


def test_what_is_no_subset_is_told_in_a_sentence(tmp_path: Path) -> None:
    source = pool(tmp_path)
    with pytest.raises(MissingInput, match="there is no subset file"):
        run(source, tmp_path / "c", str(tmp_path / "none.npy"))
    np.save(tmp_path / "f.npy", np.zeros(3))
    with pytest.raises(UserError, match="wanted is a list of uids of dtype u8,u8"):
        run(source, tmp_path / "c", str(tmp_path / "f.npy"))
    with pytest.raises(UserError, match="has none of the 1 uids"):
        run(source, tmp_path / "c", write_subset(tmp_path / "s.npy", [500]))
    place = api.init(tmp_path / "w", api.NewWorkspace([str(source)]))
    config = place.config([f"ingest.subsets={{{tmp_path}/pol: s.npy}}"])
    with api.open_engine("local") as engine, pytest.raises((UserError, ConfigError), match="which is no source"):
        api.ingest(place, config, engine)
