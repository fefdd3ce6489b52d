"""The embedding store round-trips through memory maps and says which part is missing or damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from contracts.embedding_store import HEADER, EmbeddingStore, EmbeddingWriter, published_parts
from contracts.errors import BrokenArtifact, MissingInput, NewerVersion
from contracts.publish import publish_json, read_json


@pytest.fixture
def store(tmp_path: Path) -> EmbeddingStore:
    writer = EmbeddingWriter(tmp_path / "m", model="descriptor", dim=4)
    writer.write_part(1, ["c"], np.full((1, 4), 3.0))
    writer.write_part(0, ["b", "a"], np.array([[1, 0, 0, 0], [0, 1, 0, 0]], np.float32))
    return writer.finish(config_sha256="0" * 64, settings={"px": 32})


def test_round_trip_in_part_order(store: EmbeddingStore) -> None:
    again = EmbeddingStore.open(store.folder)
    assert (again.rows, again.dim, again.parts, again.model) == (3, 4, 2, "descriptor")
    assert again.keys.to_pylist() == ["b", "a", "c"]
    assert again.all_vectors().tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [3, 3, 3, 3]]
    assert isinstance(again.part_vectors(0), np.memmap)
    assert again.settings == {"px": 32}


def test_an_unfinished_store_is_refused_but_its_parts_are_known(tmp_path: Path) -> None:
    EmbeddingWriter(tmp_path, model="m", dim=2).write_part(7, ["a"], np.zeros((1, 2)))
    assert published_parts(tmp_path) == [7]
    assert published_parts(tmp_path / "none") == []
    with pytest.raises(MissingInput, match="curate embed"):
        EmbeddingStore.open(tmp_path)


def test_wrong_shape_or_infinite_vectors_are_our_bug(tmp_path: Path) -> None:
    writer = EmbeddingWriter(tmp_path, model="m", dim=2)
    with pytest.raises(ValueError, match="wanted"):
        writer.write_part(0, ["a"], np.zeros((2, 2)))
    with pytest.raises(ValueError, match="finite"):
        writer.write_part(0, ["a"], np.full((1, 2), 1e9))
    assert published_parts(tmp_path) == []


def test_damage_is_named(store: EmbeddingStore) -> None:
    part = store.folder / "part-00000.npy"
    whole = part.read_bytes()
    part.write_bytes(whole[:-2])
    with pytest.raises(BrokenArtifact, match=r"part-00000\.npy"):
        EmbeddingStore.open(store.folder)
    np.save(part, np.zeros((3, 4), np.float16))
    with pytest.raises(BrokenArtifact, match="wanted"):
        EmbeddingStore.open(store.folder)
    part.unlink()
    with pytest.raises(MissingInput, match=r"part-00000\.npy"):
        EmbeddingStore.open(store.folder)
    part.write_bytes(whole)
    keys = store.folder / "part-00001.parquet"
    keys.write_bytes(b"PAR1")
    with pytest.raises(BrokenArtifact, match=r"part-00001\.parquet"):
        _ = EmbeddingStore.open(store.folder).keys


def test_a_newer_store_is_refused(store: EmbeddingStore) -> None:
    header = read_json(store.folder / HEADER)
    publish_json(store.folder / HEADER, {**header, "version": 2})
    with pytest.raises(NewerVersion):
        EmbeddingStore.open(store.folder)
    publish_json(store.folder / HEADER, {**header, "format": "other"})
    with pytest.raises(BrokenArtifact, match="'other'"):
        EmbeddingStore.open(store.folder)
