"""Decisions: one kept image per group, whole components dropped near references, a reason per row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from contracts.tables import GROUPS, conform
from curation.dedup.config import DedupConfig
from curation.dedup.decide import Pool, decide, groups_table
from curation.dedup.group_report import Findings, make_report, size_histogram
from curation.dedup.pair_file import PairsMade, read_pairs, write_pairs
from curation.dedup.thresholds import Thresholds
from curation.index.join import Pairs, self_join
from curation.index.plan import plan_index


def small_pool() -> Pool:
    """a, b, c in a chain (a-b and b-c close, a-c less), d and e close, f alone. c has most pixels, then e."""
    angles = np.deg2rad([0, 20, 40, 120, 130, 240])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float16)
    keys = pa.array(["a", "b", "c", "d", "e", "f"])
    return Pool(keys, vectors, 0, np.array([3, 4, 0, 5, 1, 2], np.int64))


def pairs_of(pool: Pool, least: float) -> Pairs:
    return self_join(pool.vectors, least, plan_index(len(pool), 2))


def no_pairs() -> Pairs:
    return Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))


def rows_of(table: pa.Table) -> dict[str, tuple[str, int, bool, str]]:
    conform(table, GROUPS)
    return {row["key"]: (row["group_id"], row["group_size"], row["kept"], row["reason"]) for row in table.to_pylist()}


def test_one_image_per_group_is_kept_and_every_row_says_why() -> None:
    pool = small_pool()
    decision = decide(pool, pairs_of(pool, 0.9), {}, DedupConfig(), 0.9, 0.9)
    assert decision.kept.tolist() == [False, False, True, False, True, True]
    rows = rows_of(groups_table(pool, decision))
    assert set(rows) == {"a", "b", "c", "d", "e"}
    assert rows["c"] == ("c", 3, True, "representative: of 3 images")
    assert rows["a"][:3] == ("c", 3, False)
    assert rows["a"][3] == f"near_duplicate: of c, cosine {np.cos(np.deg2rad(40)):.3f}"
    assert rows["d"][0] == "e"


def test_a_component_with_a_reference_leaves_whole_and_a_direct_neighbour_alone() -> None:
    pool = small_pool()
    pairs = pairs_of(pool, 0.9)
    near_a = {"eval": Pairs(np.array([7]), np.array([0]), np.array([0.95], np.float32))}
    whole = decide(pool, pairs, near_a, DedupConfig(), 0.9, 0.9)
    assert whole.kept.tolist() == [False, False, False, False, True, True]
    assert rows_of(groups_table(pool, whole))["b"][3] == "reference: eval"
    near_c = {"eval": Pairs(np.array([7]), np.array([2]), np.array([0.95], np.float32))}
    direct = decide(pool, pairs, near_c, DedupConfig(against_rule="direct"), 0.9, 0.9)
    # c would represent its group; it leaves, so the next in the order of keeping stands in.
    assert direct.kept.tolist() == [True, False, False, False, True, True]
    rows = rows_of(groups_table(pool, direct))
    assert rows["c"] == ("a", 3, False, "reference: eval")
    assert rows["a"][2] is True


def test_a_reference_reaches_further_than_copies_do() -> None:
    pool = small_pool()
    pairs = pairs_of(pool, 0.75)
    near = {"eval": Pairs(np.array([0]), np.array([0]), np.array([0.8], np.float32))}
    decision = decide(pool, pairs, near, DedupConfig(), 0.97, 0.75)
    # At 0.97 only d-e are copies; at 0.75 a, b and c are one component.
    assert decision.kept.tolist() == [False, False, False, False, True, True]
    assert decision.size.tolist() == [1, 1, 1, 2, 2, 1]


def test_the_report_adds_up() -> None:
    pool = small_pool()
    pairs = pairs_of(pool, 0.9)
    near = {"eval": Pairs(np.array([3, 4]), np.array([3, 3]), np.array([0.95, 0.93], np.float32)), "none": no_pairs()}
    decision = decide(pool, pairs, near, DedupConfig(), 0.9, 0.9)
    found = Findings(pool, pairs, decision, near, occurrences=9)
    report = make_report(found, DedupConfig(), Thresholds(0.9, 0.9, 0.9), "descriptor", "exact")
    assert report.kept + report.near_duplicates + report.near_references == report.images == 6
    assert (report.kept, report.near_references, report.exact_duplicates) == (2, 2, 3)
    assert report.against["eval"].direct == 1 and report.against["eval"].dropped == 2
    assert report.against["none"].dropped == 0
    assert (report.groups, report.largest_group) == (2, 3)
    assert report.min_inner_cosine is not None and abs(report.min_inner_cosine - np.cos(np.deg2rad(40))) < 1e-3
    assert report.size_histogram == {"2": 1, "3": 1}


def test_size_histogram_doubles_its_bins() -> None:
    assert size_histogram(np.array([2, 2, 4, 5, 8, 9, 16, 17])) == {"2": 2, "4": 1, "5-8": 2, "9-16": 2, "17-32": 1}


def test_pairs_on_disk_serve_higher_thresholds_and_the_same_vectors_only(tmp_path: Path) -> None:
    pool = small_pool()
    pairs = pairs_of(pool, 0.7)
    made = PairsMade("v1", 6, "exact 0 0", None, 0.7)
    write_pairs(tmp_path, pool.keys, pairs, made)
    there = read_pairs(tmp_path, pool.keys)
    assert there is not None and there.made == made
    assert np.array_equal(there.pairs.a, pairs.a) and np.array_equal(there.pairs.cosine, pairs.cosine)
    assert made.serves(PairsMade("v1", 6, "exact 0 0", None, 0.9))
    for other in (
        PairsMade("v1", 6, "exact 0 0", None, 0.6),
        PairsMade("v2", 6, "exact 0 0", None, 0.9),
        PairsMade("v1", 6, "exact 0 0", 64, 0.9),
        PairsMade("v1", 6, "ivf 10 2", None, 0.9),
    ):
        assert not made.serves(other)
    assert read_pairs(tmp_path, pool.keys[:3]) is None
    (tmp_path / "pairs.parquet").write_bytes(b"cut short")
    assert read_pairs(tmp_path, pool.keys) is None


def test_pairs_may_grow_only_by_more_images_under_the_same_rule() -> None:
    made = PairsMade("v1", 6, "ivf 10 2", None, 0.5)
    assert made.may_grow_into(PairsMade("v2", 9, "ivf 12 3", None, 0.6))
    assert not made.may_grow_into(PairsMade("v2", 9, "exact 0 0", None, 0.6))
    assert not made.may_grow_into(PairsMade("v2", 9, "ivf 10 2", None, 0.4))
    assert not made.may_grow_into(PairsMade("v2", 9, "ivf 10 2", 64, 0.6))
    assert not made.may_grow_into(PairsMade("v2", 6, "ivf 10 2", None, 0.6))
