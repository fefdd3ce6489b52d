"""Bounds include their ends, reasons name every failed filter, and a shown value is on its side of the bound."""

from __future__ import annotations

import pyarrow as pa
import pytest

from contracts.config import validate_config
from contracts.errors import ConfigError
from curation.filters.config import Bounds, FilterConfig
from curation.filters.judge import judge


def test_bounds_include_their_ends_and_reasons_name_every_failure() -> None:
    values = pa.table({"blur": [12.34, 20.0, 25.0, 90.5], "entropy": [0.5, 3.0, 3.0, 3.0]})
    found = judge(values, {"blur": Bounds(min=20, max=90), "entropy": Bounds(min=1)})
    assert found.kept.tolist() == [False, True, True, False]
    assert found.reasons.to_pylist() == [
        "filtered: blur 12.3 below 20, entropy 0.5 below 1",
        None,
        None,
        "filtered: blur 90.5 above 90",
    ]
    assert found.counts == {"blur": 2, "entropy": 1}


@pytest.mark.parametrize(
    ("value", "shown"), [(19.999, "19.999"), (19.6, "19.6"), (3.0, "3"), (19.99999999, "19.99999999")]
)
def test_a_shown_value_is_below_the_bound(value: float, shown: str) -> None:
    found = judge(pa.table({"blur": [value]}), {"blur": Bounds(min=20)})
    assert found.reasons.to_pylist() == [f"filtered: blur {shown} below 20"]


def test_large_sizes_are_shown_without_exponent() -> None:
    found = judge(pa.table({"long_side_px": [20000.0]}), {"long_side_px": Bounds(max=8192)})
    assert found.reasons.to_pylist() == ["filtered: long_side_px 20000 above 8192"]


def test_bounds_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ConfigError, match="min 3 is above max 2"):
        validate_config(FilterConfig, {"blur": {"min": 3, "max": 2}}, where="curate.yaml")
