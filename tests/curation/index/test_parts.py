"""Assignment and search in parts: the bytes of one piece, whatever the engine and its workers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from curation.engine import Engine, open_engine
from curation.index.assign_parts import PartAssigner
from curation.index.kmeans import assign, train_centroids
from curation.index.plan import plan_index
from curation.index.row_files import as_file, mapped, scratch_folder
from curation.index.search import make_base, search
from curation.index.search_parts import PartSearch

ODD = 4


def rows_of(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((20, 32))
    return (centres[rng.integers(0, 20, count)] + 0.4 * rng.standard_normal((count, 32))).astype(np.float16)


def engines(ray_engine: Engine) -> list[Engine]:
    found = [ray_engine]
    for workers in (1, 3):
        with open_engine("local", workers) as engine:
            found.append(engine)
    return found


def test_assignment_is_the_same_bytes_in_one_piece_and_in_parts(ray_engine: Engine, tmp_path: Path) -> None:
    vectors = rows_of(2000, seed=1)
    vectors[7] = 0
    centroids = train_centroids(vectors, 30, 5, seed=0)
    centroids[11] = centroids[3]  # a tie goes to the lower number
    wanted = assign(vectors, centroids, ODD)
    assert (wanted.cluster != 11).all() and wanted.cluster[7] == 0 and (wanted.cluster == 3).any()
    for engine in engines(ray_engine):
        with scratch_folder(tmp_path / "scratch") as scratch:
            found = PartAssigner(engine, scratch, rows_per_part=300)(vectors, centroids, ODD)
        assert found.cluster.tobytes() == wanted.cluster.tobytes()
        assert found.cosine.tobytes() == wanted.cosine.tobytes()
    assert not (tmp_path / "scratch").exists()


@pytest.mark.parametrize("kind", ["exact", "ivf"])
def test_search_is_the_same_bytes_in_one_piece_and_in_parts(kind: str, ray_engine: Engine, tmp_path: Path) -> None:
    pool, queries = rows_of(3000, seed=2), rows_of(700, seed=3)
    plan = plan_index(len(pool), 32, kind, lists=25, probes=5)  # type: ignore[arg-type]
    chosen = np.arange(len(queries))[::-1].copy()
    wanted = search(queries[chosen], make_base(pool, plan, ODD), 9)
    for engine in engines(ray_engine):
        with scratch_folder(tmp_path / "scratch") as scratch:
            np.save(scratch / "pool.npy", pool)
            there = PartSearch(mapped(scratch / "pool.npy"), plan, ODD, engine, scratch)
            found = there.find(queries, chosen, 9, queries_per_part=100)
        assert [part.tobytes() for part in found] == [part.tobytes() for part in wanted]


def test_a_whole_mapped_file_is_not_written_again_and_a_piece_of_it_is(tmp_path: Path) -> None:
    rows = rows_of(50, seed=4)
    np.save(tmp_path / "rows.npy", rows)
    there = mapped(tmp_path / "rows.npy")
    assert as_file(there, tmp_path / "copy.npy") == str(tmp_path / "rows.npy")
    assert not (tmp_path / "copy.npy").exists()
    piece = as_file(there[10:20], tmp_path / "copy.npy")
    assert np.array_equal(mapped(piece), rows[10:20])
