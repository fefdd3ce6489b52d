"""The drawn parts of the report: widths and bars go with counts, edges are those nearest to a bound."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.report.cluster_sizes import before_and_after, sizes_picture
from curation.report.filter_edges import filter_edges
from curation.report.flow_picture import STREAM, flow_picture

FLOW = [
    ("files offered", 1000),
    ("exact duplicates", 100),
    ("distinct files", 900),
    ("dropped: near duplicate", 400),
    ("dropped: filtered", 0),
    ("kept", 500),
]


def test_the_stream_narrows_by_what_leaves_it() -> None:
    drawn = flow_picture(FLOW, [("birds sample", 300), ("pool", 200)])
    heights = [float(text) for text in re.findall(r"class='stream'[^>]*height='([\d.]+)'", drawn)]
    assert heights == pytest.approx([STREAM, 0.9 * STREAM, 0.5 * STREAM], abs=0.1)
    assert drawn.count("class='arm'") == 2
    for text in ("near duplicate 400", "exact duplicates 100", "birds sample 300", "pool 200", ">1,000<"):
        assert text in drawn
    assert "filtered" not in drawn
    assert "&lt;b&gt;" in flow_picture(FLOW, [("<b>", 500)])
    assert flow_picture([("files offered", 0), ("kept", 0)], []) == ""


def test_clusters_are_counted_largest_first_and_drawn() -> None:
    before, after = before_and_after(np.array([2, 2, 2, 0, 0, 1]), np.array([2, 1]))
    assert (before.tolist(), after.tolist()) == ([3, 2, 1], [1, 0, 1])
    drawn = sizes_picture(before, after)
    assert (drawn.count("class='whole'"), drawn.count("class='part'")) == (3, 3)
    many = sizes_picture(np.arange(5000, 0, -1), np.ones(5000, np.int64))
    assert many.count("class='whole'") == 120 and len(many) < 40_000
    assert sizes_picture([], []) == ""


def test_edges_are_the_images_nearest_to_a_bound_that_drops_some(tmp_path: Path) -> None:
    file = tmp_path / "filters.parquet"
    assert filter_edges(file, 2) == []
    values = {"key": list("abcdef"), "blur": [1.0, 19.0, 10.0, 21.0, 90.0, None], "entropy": [5.0] * 6}
    pq.write_table(pa.table(values), file)
    bounds = {"blur": {"min": 20.0, "max": None}, "entropy": {"min": 1.0, "max": None}}
    file.with_suffix(".json").write_text(json.dumps({"bounds": bounds}))
    (edge,) = filter_edges(file, 2)
    assert edge.name == "blur below 20"
    assert edge.out == [("b", 19.0), ("c", 10.0)]
    assert edge.inside == [("d", 21.0), ("e", 90.0)]
