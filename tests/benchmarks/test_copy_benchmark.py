"""The copy benchmark: its scores on hand-made pairs, and a corpus made from photographs."""

from __future__ import annotations

import csv
import importlib
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def scores(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("copy_scores")


def write_truth(folder: Path) -> Path:
    """Picture x with two copies, picture y with one, a distractor z."""
    rows = [("x", "gx", "original", ""), ("x1", "gx", "copy", "jpeg"), ("x2", "gx", "copy", "crop")]
    rows += [("y", "gy", "original", ""), ("y1", "gy", "copy", "jpeg"), ("z", "gz", "distractor", "d_doc")]
    with (folder / "truth.csv").open("w", newline="") as handle:
        csv.writer(handle).writerows([("path", "group", "role", "edit"), *rows])
    return folder


def test_a_ranking_with_one_wrong_pair(scores: ModuleType, tmp_path: Path) -> None:
    truth = scores.read_truth(write_truth(tmp_path), set())
    # Right, right, wrong (x2 with z), right; one of the four true pairs is never named.
    pairs = scores.ScoredPairs(np.array([0, 3, 2, 0]), np.array([1, 4, 5, 2]), np.array([0.9, 0.8, 0.7, 0.6]))
    found = scores.score_pairs(truth, pairs, 0.65)
    assert found["micro_ap"] == pytest.approx(1 / 4 + 1 / 4 + 0.75 / 4, abs=1e-4)
    assert found["at_p99"]["copy_recall"] == pytest.approx(2 / 3, abs=1e-3)
    assert found["at_p99"]["merged"]["false_merges"] == 0
    own = found["at_default"]
    assert own["per_edit"] == {"crop": 0.0, "jpeg": 1.0}
    assert own["precision"] == pytest.approx(2 / 3, abs=1e-3)
    # x with x1, y with y1, and x2 with z: one merge of two pictures; keeping x2 would lose z.
    assert own["merged"] | {"false_merges_of": None} == {
        "kept": 3,
        "ideal": 3,
        "false_merges": 1,
        "expected_lost": 0.5,
        "largest": 2,
        "false_merges_of": None,
    }


def test_equal_scores_are_one_block(scores: ModuleType, tmp_path: Path) -> None:
    truth = scores.read_truth(write_truth(tmp_path), set())
    pairs = scores.ScoredPairs(np.array([0, 0]), np.array([1, 5]), np.array([0.5, 0.5]))
    assert scores.score_pairs(truth, pairs, None)["micro_ap"] == pytest.approx(0.5 / 4, abs=1e-4)


def test_pairs_of_a_kind_can_be_left_out(scores: ModuleType, tmp_path: Path) -> None:
    truth = scores.read_truth(write_truth(tmp_path), set())
    pairs = scores.ScoredPairs(np.array([0, 2]), np.array([1, 5]), np.array([0.9, 0.7]))
    assert len(scores.without(truth, pairs, frozenset({"d_doc"})).a) == 1


def test_a_corpus_from_photographs(scores: ModuleType, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(5):
        coarse = np.random.default_rng(number).integers(0, 256, (8, 8, 3)).astype(np.uint8)
        cv2.imwrite(str(photos / f"{number}.jpg"), cv2.resize(coarse, (160, 120), interpolation=cv2.INTER_CUBIC))
    corpus = importlib.import_module("copy_corpus")
    corpus.make_corpus(photos, tmp_path / "corpus", originals=2, copies=30, seed=0)
    truth = scores.read_truth(tmp_path / "corpus", set())
    assert truth.original.sum() == 2
    assert {"as_png", "as_exif", "mirrored", "cropped"} <= set(truth.edit)
    assert len(set(truth.edit)) - 2 == truth.copy.sum() / 2  # every edit once; "" and d_doc are none
    from curation.decode import decode_rgb

    turned = [path for path, edit in zip(truth.paths, truth.edit, strict=True) if edit == "as_exif"]
    for path in turned:
        original = truth.folder / "images" / Path(path).name.replace(path[path.rindex("-") :], ".jpg")
        difference = decode_rgb((truth.folder / path).read_bytes()).astype(int) - decode_rgb(original.read_bytes())
        assert np.abs(difference).mean() < 6
