"""A sweep says what dedup at each threshold would say."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from contracts.errors import UserError
from curation.dedup.components import connected_components
from curation.dedup.sweep import SweepReport, parse_sweep, sweep
from curation.dedup.sweep_plot import sweep_svg
from curation.index.join import Pairs


def random_pairs(rows: int, count: int) -> Pairs:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, rows, count), rng.integers(0, rows, count)
    return Pairs(np.minimum(a, b), np.maximum(a, b), rng.uniform(0.4, 1, count).astype(np.float32))


def test_each_point_equals_the_components_at_its_threshold() -> None:
    pairs = random_pairs(500, 600)
    points = sweep(pairs, 500, [0.4, 0.6, 0.8, 0.95])
    assert [point.threshold for point in points] == [0.4, 0.6, 0.8, 0.95]
    for point in points:
        above = pairs.above(point.threshold)
        sizes = np.unique(connected_components(500, above.a, above.b), return_counts=True)[1]
        assert (point.kept, point.largest_group) == (len(sizes), sizes.max())
        assert (point.groups, point.pairs) == ((sizes > 1).sum(), len(above))


def test_a_sweep_is_parsed_or_refused() -> None:
    assert parse_sweep("0.4:0.6") == [0.4, 0.45, 0.5, 0.55, 0.6]
    assert parse_sweep("0.4:0.9:0.25") == [0.4, 0.65, 0.9]
    for wrong in ("0.9", "0.9:0.4", "a:b", "0:1:0", "0:1:1e-9", "0.1:0.2:0.05:1"):
        with pytest.raises(UserError, match="--sweep"):
            parse_sweep(wrong)


def test_the_plot_is_well_formed_and_shows_its_ends() -> None:
    report = SweepReport("descriptor", 500, sweep(random_pairs(500, 600), 500, parse_sweep("0.4:0.9")))
    text = sweep_svg(report)
    ElementTree.fromstring(text)
    assert f"kept {report.points[-1].kept:,}" in text
    assert len(report.lines()) == 12
