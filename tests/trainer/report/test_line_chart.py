"""Charts: no peak is lost when many values are drawn as few, names are text, axes have round numbers."""

from __future__ import annotations

import re

from trainer.report.line_chart import MOST_POINTS, Chart, chart_svg, short, thinned


def test_many_values_are_thinned_without_losing_a_peak() -> None:
    series = [(float(step), 1.0) for step in range(100_000)]
    series[77_777] = (77_777.0, 9.0)
    few = thinned(series)
    assert len(few) <= MOST_POINTS + 2
    assert (77_777.0, 9.0) in few
    assert few[-1] == series[-1]
    assert few == sorted(few)
    assert len(chart_svg(Chart("t", {"a": series}))) < 20_000


def test_names_are_text_and_values_are_tooltips() -> None:
    svg = chart_svg(Chart("a < b", {"<x>": [(0, 0.5), (10, 0.25)], "y": [(0, 1.0)]}, {"level & line": 1.0}))
    assert "a &lt; b" in svg and "&lt;x&gt;" in svg and "level &amp; line" in svg
    assert "<x>" not in svg
    assert "&lt;x&gt;: 0.25 at step 10" in svg


def test_a_chart_without_values_is_nothing() -> None:
    assert chart_svg(Chart("t", {"a": []})) == ""


def test_axes_have_round_numbers() -> None:
    svg = chart_svg(Chart("t", {"a": [(0, 0.0), (20_000, 97.0)]}))
    labels = re.findall(r">([0-9.k]+)</text>", svg)
    assert {"0", "50", "100", "10k", "20k"} <= set(labels)
    logarithmic = chart_svg(Chart("t", {"a": [(0, 1e-3), (9, 100.0)]}, log=True))
    assert {"0.001", "0.1", "10"} <= set(re.findall(r">([0-9.e-]+)</text>", logarithmic))


def test_numbers_are_short() -> None:
    assert [short(value) for value in (0, 1, 0.123456, 1e-5, 12_345.6, 2e9)] == [
        "0",
        "1",
        "0.1235",
        "1.0e-05",
        "12,346",
        "2e+09",
    ]
