"""The embedding step: whole parts, resumed and extended without redoing, the same bytes whatever happened before."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contracts.embedding_store import HEADER, EmbeddingStore
from contracts.errors import MissingInput, UserError
from curation.embed.config import EmbedConfig
from curation.embed.embed_catalog import embed
from curation.embed.parts import rows_per_part
from curation.embed.table import load_embedder, model_name
from curation.engine import open_engine
from curation.ingest.config import IngestConfig
from curation.ingest.ingest import ingest

SMALL_PARTS = EmbedConfig(part_rows=64)


def write_pictures(folder: Path, first: int, count: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        rng = np.random.default_rng(number)
        pixels = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((48, 36), Image.Resampling.BICUBIC).save(folder / f"{number:04d}.png")


def catalogue(folder: Path, catalog: Path) -> None:
    with open_engine("local") as engine:
        ingest([str(folder)], catalog, IngestConfig(), engine)


def run(catalog: Path, store: Path, model: str = "descriptor", settings: EmbedConfig = SMALL_PARTS):
    with open_engine("local") as engine:
        return embed(catalog, store, model, engine, settings)


def digest(store: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(store.iterdir()) if path.is_file()
    }


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "pool", 0, 150)
    catalogue(tmp_path / "pool", tmp_path / "catalog")
    return tmp_path


def test_every_image_gets_the_vector_that_the_embedder_gives_it(pool: Path) -> None:
    report = run(pool / "catalog", pool / "store")
    assert (report.images, report.embedded_now, report.parts_now, report.failed) == (150, 150, 3, 0)
    store = EmbeddingStore.open(pool / "store")
    assert store.part_rows == (64, 64, 22)
    keys = {hashlib.sha256(path.read_bytes()).hexdigest()[:24]: path for path in (pool / "pool").iterdir()}
    assert store.keys.to_pylist() == sorted(keys, key=keys.__getitem__)
    embedder = load_embedder("descriptor")
    pixels = np.asarray(Image.open(keys[store.keys[70].as_py()]))
    assert np.allclose(store.all_vectors()[70], embedder.embed_images([pixels])[0], atol=1e-3)
    assert store.settings["default_threshold"] == embedder.default_threshold
    assert store.settings["odd_dims"] == embedder.odd_dims


def test_a_rerun_does_nothing_and_a_killed_run_is_resumed_with_the_same_bytes(pool: Path) -> None:
    run(pool / "catalog", pool / "whole")
    run(pool / "catalog", pool / "killed")
    whole = digest(pool / "whole")
    # What a kill after the second part leaves: no header, one part missing, one half published, one draft.
    (pool / "killed" / HEADER).unlink()
    (pool / "killed" / "part-00001.npy").unlink()
    (pool / "killed" / "part-00002.npy.draft-1-abc").write_bytes(b"half")
    untouched = (pool / "killed" / "part-00000.npy").stat().st_mtime_ns
    assert run(pool / "catalog", pool / "killed").parts_now == 3
    assert digest(pool / "killed") == whole
    assert (pool / "killed" / "part-00000.npy").stat().st_mtime_ns == untouched
    assert run(pool / "catalog", pool / "killed").embedded_now == 0
    assert digest(pool / "killed") == whole


def test_new_images_get_new_parts_and_old_ones_stay(pool: Path) -> None:
    run(pool / "catalog", pool / "store")
    before = digest(pool / "store")
    write_pictures(pool / "pool", 150, 10)
    catalogue(pool / "pool", pool / "catalog")
    report = run(pool / "catalog", pool / "store")
    assert (report.embedded_before, report.embedded_now, report.parts_now) == (150, 10, 1)
    after = digest(pool / "store")
    assert {name: after[name] for name in before if name != HEADER} == {n: d for n, d in before.items() if n != HEADER}
    assert EmbeddingStore.open(pool / "store").part_rows == (64, 64, 22, 10)


def test_a_part_left_by_a_run_over_other_images_is_not_taken(pool: Path) -> None:
    run(pool / "catalog", pool / "store")
    (pool / "store" / HEADER).unlink()
    write_pictures(pool / "pool", 150, 10)
    catalogue(pool / "pool", pool / "catalog")
    run(pool / "catalog", pool / "store")
    run(pool / "catalog", pool / "fresh")
    assert digest(pool / "store") == digest(pool / "fresh")


def test_a_store_of_another_version_is_made_anew(pool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(pool / "catalog", pool / "store")
    monkeypatch.setattr("curation.embed.copy_descriptor.CopyDescriptor.version", "of another day")
    assert run(pool / "catalog", pool / "store").embedded_now == 150
    assert EmbeddingStore.open(pool / "store").settings["version"] == "of another day"


def test_a_file_that_is_gone_is_named_and_the_rest_is_embedded(pool: Path) -> None:
    gone = pool / "pool" / "0003.png"
    key = hashlib.sha256(gone.read_bytes()).hexdigest()[:24]
    gone.unlink()
    report = run(pool / "catalog", pool / "store")
    assert (report.embedded_now, report.failed) == (149, 1)
    assert report.failures[0][0] == key and report.failures[0][1].startswith("changed")
    # Back again, it is embedded by the next run.
    write_pictures(pool / "pool", 3, 1)
    assert run(pool / "catalog", pool / "store").embedded_now == 1


def test_nothing_catalogued_or_an_unknown_model_is_said_in_a_sentence(pool: Path) -> None:
    with pytest.raises(UserError, match="curate ingest"):
        run(pool / "empty", pool / "store")
    with pytest.raises(MissingInput, match="descriptor, phash, scene"):
        run(pool / "catalog", pool / "store", model="descripter")


def test_names_of_stores_are_fit_for_files_and_tell_models_apart(tmp_path: Path) -> None:
    assert model_name("descriptor") == "descriptor"
    names = {
        model_name(spec) for spec in ("facebook/dinov2-small", "facebook/dinov2-base", str(tmp_path / "a b" / "m.pt"))
    }
    assert len(names) == 3
    assert all("/" not in name and " " not in name and len(name) < 80 for name in names)


def test_small_pools_are_cut_so_that_cores_share_them() -> None:
    assert rows_per_part(100, 4096) == 64
    assert rows_per_part(3200, 4096) == 200
    assert rows_per_part(10_000_000, 4096) == 4096
