"""Vectors of chosen keys: in the order of the keys, out of any number of parts, mapped and not held in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from contracts.embedding_store import EmbeddingStore, EmbeddingWriter
from contracts.errors import MissingInput
from curation.retrieve import stored_vectors
from curation.retrieve.stored_vectors import map_vectors


def store_of(folder: Path, parts: int, rows: int = 5) -> tuple[EmbeddingStore, dict[str, list[float]]]:
    writer = EmbeddingWriter(folder, model="toy", dim=3)
    rng, known = np.random.default_rng(0), {}
    keys = rng.permutation([f"{number:024x}" for number in range(parts * rows)]).tolist()
    for part in range(parts):
        mine = keys[part * rows : (part + 1) * rows]
        vectors = rng.standard_normal((rows, 3)).astype(np.float16)
        writer.write_part(part, mine, vectors)
        known |= dict(zip(mine, vectors.tolist(), strict=True))
    return writer.finish(config_sha256="", settings={"odd_dims": 1}), known


def test_rows_follow_the_keys_through_parts_and_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_vectors, "BLOCK_ROWS", 4)
    store, known = store_of(tmp_path / "store", parts=4)
    keys = pa.array([*sorted(known)[:13], "f" * 24])
    found = map_vectors(store, keys, tmp_path / "rows.npy")
    assert found.keys.to_pylist() == sorted(known)[:13] and found.odd_dims == 1
    assert isinstance(found.vectors, np.memmap)
    assert found.vectors.tolist() == [known[key] for key in sorted(known)[:13]]
    again = map_vectors(store, keys.slice(0, 2), tmp_path / "rows.npy")
    assert len(again) == 2 and found.vectors.tolist()[12] == known[sorted(known)[12]]


def test_a_store_of_one_part_in_order_is_mapped_where_it_is(tmp_path: Path) -> None:
    store, _ = store_of(tmp_path / "store", parts=1)
    found = map_vectors(store, store.keys, tmp_path / "rows.npy")
    assert np.array_equal(found.vectors, store.part_vectors(0)) and not (tmp_path / "rows.npy").exists()


def test_no_vector_at_all_is_said(tmp_path: Path) -> None:
    store, _ = store_of(tmp_path / "store", parts=1)
    with pytest.raises(MissingInput, match="curate embed"):
        map_vectors(store, pa.array(["f" * 24]), tmp_path / "rows.npy")
