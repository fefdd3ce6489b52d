"""Imported vectors: each row goes to its own image, whatever names it; what does not fit is counted or refused."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from PIL import Image

from contracts.embedding_store import HEADER, EmbeddingStore
from contracts.errors import MissingInput, UserError
from contracts.keys import key_of_bytes
from contracts.publish import sha256_file
from curation import api
from curation.embed.importing.import_vectors import Import, ImportReport, import_vectors, unit_rows
from curation.embed.importing.layout import find_vector_files
from curation.engine import open_engine
from curation.ingest.config import IngestConfig
from curation.ingest.ingest import ingest

DIM = 5


def png(seed: int) -> bytes:
    out = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (12, 12, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def vectors(count: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)


def catalogue(source: Path, root: Path) -> Path:
    with open_engine("local") as engine:
        ingest([str(source)], root / "catalog", IngestConfig(), engine)
    return root / "catalog"


def photos(root: Path, count: int = 10) -> dict[str, bytes]:
    """Files in two folders, one with an odd name; by path below the source."""
    made = {f"{'ab'[i % 2]}/{i} #%,.png": png(i) for i in range(count)}
    for name, data in made.items():
        (root / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "photos" / name).write_bytes(data)
    return made


def write_files(folder: Path, number: int, rows: NDArray[np.floating], columns: Mapping[str, Sequence[object]]) -> None:
    """As clip-retrieval does."""
    (folder / "img_emb").mkdir(parents=True, exist_ok=True)
    (folder / "metadata").mkdir(exist_ok=True)
    np.save(folder / f"img_emb/img_emb_{number}.npy", rows)
    pq.write_table(pa.table(dict(columns)), folder / f"metadata/metadata_{number}.parquet")


def run(root: Path, folder: Path, **more: object) -> ImportReport:
    files = find_vector_files([str(folder)])
    return import_vectors(root / "catalog", root / "store", Import(files, "imported:clip", **more))  # type: ignore[arg-type]


def stored(root: Path) -> dict[str, NDArray[np.float16]]:
    store = EmbeddingStore.open(root / "store")
    return dict(zip(store.keys.to_pylist(), store.all_vectors(), strict=True))


def assert_mine(found: Mapping[str, NDArray[np.float16]], data: bytes, row: NDArray[np.floating]) -> None:
    assert np.allclose(found[key_of_bytes(data)], row / np.linalg.norm(row), atol=2e-3)


def test_files_of_clip_retrieval_by_path_whatever_folder_they_were_made_in(tmp_path: Path) -> None:
    made = photos(tmp_path)
    catalogue(tmp_path / "photos", tmp_path)
    rows = vectors(12)
    names = [f"/mnt/elsewhere/photos/{name}" for name in made] + ["/mnt/elsewhere/photos/a/unknown.png"] * 2
    write_files(tmp_path / "clip", 0, rows[:7].astype(np.float16), {"image_path": names[:7], "caption": ["x"] * 7})
    write_files(tmp_path / "clip", 1, rows[7:], {"image_path": names[7:], "caption": ["x"] * 5})
    np.save(tmp_path / "clip/text_emb_0.npy", rows)
    report = run(tmp_path, tmp_path / "clip", block_rows=4)
    assert (report.files, report.rows, report.matched, report.unmatched) == (2, 12, 10, 2)
    assert (report.images, report.images_without_row, report.dim) == (10, 0, DIM)
    assert report.matched_by == {"image_path = path below the source": 10}
    for data, row in zip(made.values(), rows, strict=False):
        assert_mine(stored(tmp_path), data, row)


def test_samples_of_a_tar_by_img2dataset_key_and_by_uid(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "00000.tar", "w") as tar:
        for i in range(4):
            for name, data in (
                (f"{i:09d}.png", png(i)),
                (f"{i:09d}.json", json.dumps({"uid": f"{i:032x}"}).encode()),
            ):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    catalogue(tmp_path / "00000.tar", tmp_path)
    rows = vectors(4)
    write_files(tmp_path / "by-key", 0, rows, {"key": [f"{i:09d}" for i in range(4)]})
    assert run(tmp_path, tmp_path / "by-key").matched_by == {"key = key of the sample": 4}
    assert_mine(stored(tmp_path), png(2), rows[2])
    # DataComp: several arrays in an .npz, rows in another order.
    (tmp_path / "datacomp").mkdir()
    np.savez_compressed(
        tmp_path / "datacomp/0a1b.npz", b32_img=rows[::-1], b32_txt=rows * 0, l14_img=vectors(4, 1)[:, :3]
    )
    table = {"uid": [f"{i:032x}" for i in range(4)][::-1], "url": ["http://x"] * 4}
    pq.write_table(pa.table(table), tmp_path / "datacomp/0a1b.parquet")
    with pytest.raises(UserError, match="b32_img, b32_txt, l14_img: name the one to take with --array"):
        run(tmp_path, tmp_path / "datacomp")
    report = run(tmp_path, tmp_path / "datacomp", array="b32_img", block_rows=3)
    assert report.matched_by == {"uid = uid of the source": 4}
    assert_mine(stored(tmp_path), png(1), rows[1])


def test_rows_of_a_table_by_sha256_and_by_its_own_id(tmp_path: Path) -> None:
    data = [png(i) for i in range(5)]
    pq.write_table(pa.table({"image": data, "image_id": [10, 11, 12, 13, 14]}), tmp_path / "pool.parquet")
    catalogue(tmp_path / "pool.parquet", tmp_path)
    rows = vectors(5)
    write_files(tmp_path / "ids", 0, rows, {"image_id": pa.array([14, 13, 12, 99, None], pa.int64())})
    report = run(tmp_path, tmp_path / "ids")
    assert (report.matched, report.unmatched, report.images_without_row) == (3, 2, 2)
    assert_mine(stored(tmp_path), data[4], rows[0])
    write_files(tmp_path / "sums", 0, rows, {"sha256": [hashlib.sha256(one).hexdigest() for one in data]})
    assert run(tmp_path, tmp_path / "sums").matched_by == {"sha256 = the content's key": 5}


def test_every_row_is_counted_once_and_doubtful_ones_are_left_out(tmp_path: Path) -> None:
    made = photos(tmp_path, 6)
    for folder, seed in (("one", 100), ("two", 200)):  # two archives that number their samples alike
        (tmp_path / "photos" / folder).mkdir()
        with tarfile.open(tmp_path / "photos" / folder / "0.tar", "w") as tar:
            member = tarfile.TarInfo("000.png")
            member.size = len(png(seed))
            tar.addfile(member, io.BytesIO(png(seed)))
    catalogue(tmp_path / "photos", tmp_path)
    keys = [key_of_bytes(data) for data in made.values()]
    rows = vectors(8)
    rows[1], rows[2, 3], rows[3] = 0, np.nan, np.array([1e38, 2e38, 0, 0, 0])
    names = [*keys[:5], keys[0], "000", None]
    write_files(tmp_path / "clip", 0, rows, {"key": pa.array(names, pa.string())})
    report = run(tmp_path, tmp_path / "clip")
    assert (report.matched, report.unusable, report.repeated, report.ambiguous, report.unmatched) == (3, 2, 1, 1, 1)
    assert report.matched + report.unusable + report.repeated + report.ambiguous + report.unmatched == report.rows
    assert report.images_without_row == 8 - 3
    assert_mine(stored(tmp_path), next(iter(made.values())), rows[0])  # the first of two rows stands
    assert np.allclose(stored(tmp_path)[keys[3]], [0.4472, 0.8944, 0, 0, 0], atol=1e-3)


def test_a_rerun_does_nothing_a_killed_run_goes_on_and_other_files_replace(tmp_path: Path) -> None:
    made = photos(tmp_path)
    catalogue(tmp_path / "photos", tmp_path)
    columns = {"key": [key_of_bytes(data) for data in made.values()]}
    write_files(tmp_path / "clip", 0, vectors(10), columns)
    run(tmp_path, tmp_path / "clip", block_rows=3)
    sums = {path.name: sha256_file(path) for path in (tmp_path / "store").iterdir()}
    again = run(tmp_path, tmp_path / "clip", block_rows=3)
    assert (again.state, again.matched) == ("unchanged", 10)
    (tmp_path / "store" / HEADER).unlink()
    (tmp_path / "store/part-00002.npy").unlink()
    kept = (tmp_path / "store/part-00000.npy").stat().st_mtime_ns
    assert run(tmp_path, tmp_path / "clip", block_rows=3).state == "imported"
    assert (tmp_path / "store/part-00000.npy").stat().st_mtime_ns == kept
    after = {path.name: sha256_file(path) for path in (tmp_path / "store").iterdir()}
    assert {**after, "importing.json": ""} == {**sums, "importing.json": ""}
    before = EmbeddingStore.open(tmp_path / "store").config_sha256
    write_files(tmp_path / "clip", 0, vectors(10, 7), columns)
    assert run(tmp_path, tmp_path / "clip", block_rows=3).state == "imported"
    assert_mine(stored(tmp_path), list(made.values())[9], vectors(10, 7)[9])
    assert EmbeddingStore.open(tmp_path / "store").config_sha256 != before


def test_what_cannot_be_imported_is_told_in_a_sentence(tmp_path: Path) -> None:
    made = photos(tmp_path, 4)
    catalogue(tmp_path / "photos", tmp_path)
    keys = [key_of_bytes(data) for data in made.values()]
    write_files(tmp_path / "strange", 0, vectors(4), {"key": ["x1", "x2", "x3", "x4"]})
    with pytest.raises(UserError, match=r"no row of .*metadata_0.parquet names an image of the catalogue .*key x1"):
        run(tmp_path, tmp_path / "strange")
    assert not (tmp_path / "store" / HEADER).exists()
    write_files(tmp_path / "short", 0, vectors(3), {"key": keys})
    with pytest.raises(UserError, match=r"3 vectors and .* 4 rows"):
        run(tmp_path, tmp_path / "short")
    write_files(tmp_path / "mixed", 0, vectors(2), {"key": keys[:2]})
    write_files(tmp_path / "mixed", 1, vectors(2)[:, :4], {"key": keys[2:]})
    with pytest.raises(UserError, match=r"5 numbers and .* of 4"):
        run(tmp_path, tmp_path / "mixed")
    np.save(tmp_path / "short/img_emb/img_emb_0.npy", np.array([{}] * 4), allow_pickle=True)
    with pytest.raises(UserError, match=r"img_emb_0\.npy is not a readable .npy file of numbers"):
        run(tmp_path, tmp_path / "short")
    np.save(tmp_path / "short/img_emb/img_emb_0.npy", np.arange(4))
    with pytest.raises(UserError, match="wanted is a row of float16"):
        run(tmp_path, tmp_path / "short")
    (tmp_path / "short/metadata/metadata_0.parquet").unlink()
    with pytest.raises(UserError, match=r"put img_emb_0\.parquet, or metadata_0\.parquet beside it"):
        run(tmp_path, tmp_path / "short")
    with pytest.raises(MissingInput, match="there is no"):
        run(tmp_path, tmp_path / "nowhere")


def test_unit_rows_keeps_tiny_and_huge_rows_and_names_those_without_direction() -> None:
    rows, good = unit_rows(np.array([[3e-9, 4e-9], [3e37, 4e37], [0, 0], [np.inf, 1]], np.float64))
    assert good.tolist() == [True, True, False, False]
    assert np.allclose(rows[:2], [[0.6, 0.8], [0.6, 0.8]])


def test_steps_use_imported_vectors_by_name(tmp_path: Path) -> None:
    made = photos(tmp_path, 8)
    for number in range(3):
        (tmp_path / "seed").mkdir(exist_ok=True)
        (tmp_path / "seed" / f"{number}.png").write_bytes(png(50 + number))
    place = api.init(tmp_path / "w", api.NewWorkspace([str(tmp_path / "photos")], {"warm": str(tmp_path / "seed")}))
    rows = vectors(8)
    rows[5] = rows[2] * 3  # a copy, say these vectors
    write_files(tmp_path / "clip", 0, rows, {"image_path": [f"photos/{name}" for name in made]})
    write_files(tmp_path / "seed-clip", 0, rows[:3], {"image_path": ["0.png", "1.png", "2.png"]})
    settings = [
        "engine.kind=local",
        "dedup.model=imported:clip",
        "retrieve.model=imported:clip",
        "dedup.threshold=0.99",
    ]
    config = place.config([*settings, "retrieve.mode=sample", "retrieve.per_query=1"])
    with api.open_engine("local") as engine:
        api.ingest(place, config, engine)
        with pytest.raises(MissingInput, match="curate embed --import FILES --name clip"):
            api.dedup(place, config, engine)
        api.import_embeddings(place, config, engine, api.ImportRequest([str(tmp_path / "clip")], "clip"))
        report = api.dedup(place, config, engine)
        assert (report.near_duplicates, report.kept) == (1, 7)
        of = api.ImportRequest([str(tmp_path / "seed-clip")], "clip", of="warm")
        assert api.import_embeddings(place, config, engine, of).matched == 3
        found = api.retrieve(place, config, ["warm"], engine)
    assert found.selection.kept == 3
