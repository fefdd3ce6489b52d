"""`curate dedup` over a workspace: planted copies found, references removed, the same bytes twice and after a kill."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from contracts.embedding_store import EmbeddingStore
from contracts.errors import MissingInput, UserError
from contracts.tables import GROUPS, PAIRS, SELECTION, read_table
from curation import api
from curation.dedup import near_pairs
from curation.dedup.options import dedup_overrides
from curation.explain.in_words import explanation_lines


def picture(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    image = np.full((120, 160, 3), 128, np.float32)
    for cells in (3, 8, 20):
        noise = rng.standard_normal((cells, cells, 3)).astype(np.float32)
        image += cv2.resize(noise, (160, 120), interpolation=cv2.INTER_CUBIC) * (70 / cells**0.5)
    return image.clip(0, 255).astype(np.uint8)


def save(pixels: np.ndarray, path: Path, **options: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


@pytest.fixture
def workspace(tmp_path: Path) -> api.Workspace:
    """20 pictures; of 0-4 an exact, a small and a mirrored copy; a reference set with JPEGs of 4 and 7."""
    pool = tmp_path / "pool"
    for number in range(20):
        save(picture(number), pool / f"{number:02d}.png")
    for number in range(5):
        save(picture(number), pool / f"{number:02d}-exact.png")
        save(cv2.resize(picture(number), (100, 75), interpolation=cv2.INTER_AREA), pool / f"{number:02d}-small.jpg")
        save(np.ascontiguousarray(picture(number)[:, ::-1]), pool / f"{number:02d}-mirror.jpg")
    for number in (4, 7, 99):
        save(picture(number), tmp_path / "eval" / f"e{number}.jpg", quality=60)
    return api.init(tmp_path / "workspace", api.NewWorkspace(sources=[str(pool)]))


def run(workspace: api.Workspace, **options: object):
    config = workspace.config(dedup_overrides(options))
    with api.open_engine("local") as engine:
        if not workspace.catalog.is_dir():
            api.ingest(workspace, config, engine)
        return api.dedup(workspace, config, engine)


def digests(workspace: api.Workspace) -> dict[str, str]:
    files = [*workspace.dedup.iterdir(), workspace.selection]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(files)}


def test_copies_are_found_and_the_largest_is_kept(workspace: api.Workspace) -> None:
    report = run(workspace)
    assert (report.occurrences, report.images, report.exact_duplicates) == (35, 30, 5)
    assert (report.groups, report.near_duplicates, report.kept) == (5, 10, 20)
    assert report.size_histogram == {"3": 5}
    selection = read_table(workspace.selection, SELECTION)
    assert selection.num_rows == 30 and sum(selection.column("kept").to_pylist()) == 20
    groups = read_table(workspace.dedup / "groups.parquet", GROUPS).to_pylist()
    originals = {
        hashlib.sha256((workspace.root.parent / "pool" / f"{n:02d}.png").read_bytes()).hexdigest()[:24]
        for n in range(5)
    }
    # The PNG and the mirrored JPEG have as many pixels; the PNG has more bytes.
    assert {row["key"] for row in groups if row["kept"]} == originals


def test_references_remove_whole_groups(workspace: api.Workspace) -> None:
    report = run(workspace, against=[f"eval={workspace.root.parent / 'eval'}"])
    assert report.against["eval"].dropped == 4  # three copies of 4, one of 7
    assert (report.near_references, report.kept) == (4, 18)
    reasons = read_table(workspace.selection, SELECTION).to_pylist()
    assert sum(row["reason"] == "reference: eval" for row in reasons) == 4
    assert (workspace.dedup / "against-eval.parquet").is_file()
    # Without the set, its images are back and its pairs are forgotten.
    assert run(workspace).kept == 20
    assert not (workspace.dedup / "against-eval.parquet").exists()


def test_two_runs_and_a_run_after_a_kill_give_the_same_bytes(workspace: api.Workspace) -> None:
    run(workspace)
    first = digests(workspace)
    run(workspace)
    assert digests(workspace) == first
    (workspace.dedup / "pairs.json").unlink()
    (workspace.dedup / "groups.parquet").unlink()
    (workspace.dedup / "pairs.parquet.draft-1-0").write_bytes(b"half")
    run(workspace)
    assert {n: d for n, d in digests(workspace).items() if "draft" not in n} == first


def test_a_higher_threshold_reads_the_pairs_and_a_lower_one_makes_them(workspace: api.Workspace) -> None:
    run(workspace)
    made = (workspace.dedup / "pairs.parquet").stat().st_mtime_ns
    assert run(workspace, threshold=0.9).threshold == 0.9
    assert (workspace.dedup / "pairs.parquet").stat().st_mtime_ns == made
    run(workspace, threshold=0.3)
    assert (workspace.dedup / "pairs.parquet").stat().st_mtime_ns != made
    cosines = read_table(workspace.dedup / "pairs.parquet", PAIRS).column("cosine").to_pylist()
    assert min(cosines) > 0.3


def test_pairs_that_may_be_the_same_are_told_and_dropped_by_nobody(workspace: api.Workspace) -> None:
    sure = run(workspace, threshold=0.999)
    assert sure.maybe_pairs is None and not (workspace.dedup / "maybe.parquet").exists()
    report = run(workspace, threshold=0.999, maybe_threshold=0.8)
    assert report.kept == sure.kept and report.maybe_pairs
    assert any("may be the same" in line for line in report.lines())
    pairs = read_table(workspace.dedup / "maybe.parquet", PAIRS).to_pylist()
    kept = {row["key"] for row in read_table(workspace.selection, SELECTION).to_pylist() if row["kept"]}
    assert len(pairs) == report.maybe_pairs
    assert all({row["key_a"], row["key_b"]} <= kept and 0.8 < row["cosine"] <= 0.999 for row in pairs)
    (found,) = api.explain(workspace, pairs[0]["key_a"])
    assert "(may be the same)" in "\n".join(explanation_lines([found]))
    with pytest.raises(UserError, match="not below the threshold"):
        run(workspace, threshold=0.7, maybe_threshold=0.7)
    run(workspace)
    assert not (workspace.dedup / "maybe.parquet").exists()


@pytest.mark.parametrize("index", ["faiss", "exact", "ivf"])
def test_every_index_finds_the_planted_copies(workspace: api.Workspace, index: str) -> None:
    assert run(workspace, index=index).kept == 20


def test_what_is_missing_is_said_in_a_sentence(workspace: api.Workspace) -> None:
    with api.open_engine("local") as engine, pytest.raises(MissingInput, match="curate ingest"):
        api.dedup(workspace, workspace.config(), engine)
    with pytest.raises(MissingInput, match="nowhere"):
        run(workspace, against=["nowhere"])
    with pytest.raises(UserError, match="threshold"):
        run(workspace, model="scene")


@pytest.mark.parametrize("index", ["exact", "ivf"])
def test_added_images_are_joined_with_the_old_without_joining_those_again(
    workspace: api.Workspace, index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(workspace, index=index)
    pool = workspace.root.parent / "pool"
    for number in (11, 12, 30, 31):
        save(picture(number), pool / f"{number:02d}-later.jpg", quality=70)
    save(picture(30), pool / "30-again.jpg", quality=40)
    joined = []
    real = near_pairs.self_join

    def counted(vectors: np.ndarray, *rest: Any) -> object:
        joined.append((len(vectors), rest[-1].first))
        return real(vectors, *rest)

    monkeypatch.setattr(near_pairs, "self_join", counted)
    config = workspace.config(dedup_overrides({"index": index}))
    with api.open_engine("local") as engine:
        api.ingest(workspace, config, engine)
        grown = api.dedup(workspace, config, engine)
    assert joined == [(35, 30)]
    assert (grown.images, grown.kept) == (35, 22)
    (workspace.dedup / "pairs.json").unlink()
    again = run(workspace, index=index)
    assert joined == [(35, 30), (35, 0)]
    assert (again.kept, again.pairs) == (grown.kept, grown.pairs)


def test_the_pre_pass_leaves_copies_of_one_hash_unembedded_and_the_counts_add_up(workspace: api.Workspace) -> None:
    report = run(workspace, prepass="phash")
    assert report.same_hash is not None and 0 < report.same_hash <= 5, "the small copies have their pictures' hash"
    assert (report.images, report.exact_duplicates, report.kept) == (30, 5, 20)
    assert report.kept + report.near_duplicates + report.same_hash == report.images
    assert EmbeddingStore.open(workspace.embeddings("descriptor")).rows == 30 - report.same_hash
    reasons = [row["reason"] for row in read_table(workspace.selection, SELECTION).to_pylist() if not row["kept"]]
    assert sum(reason.startswith("same_hash: of ") for reason in reasons) == report.same_hash
    assert len(reasons) == 10
    before = digests(workspace)
    run(workspace, prepass="phash")
    assert digests(workspace) == before
    assert run(workspace).same_hash is None, "without the pre-pass what was left out is embedded and compared"
    assert EmbeddingStore.open(workspace.embeddings("descriptor")).rows == 30
