"""Every measure against values known beforehand, and every fault caught by the filter that is for it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from tests.curation.filters.pictures import FAILS, FAULTS, Pixels, sharp

from curation.filters.config import FilterConfig
from curation.filters.filter_pool import bounds_of
from curation.filters.judge import judge
from curation.filters.picture import reduced
from curation.filters.table import MEASURES


def measured(pixels: Pixels) -> dict[str, float]:
    picture = reduced(pixels, pixels.shape[1], pixels.shape[0])
    return {name: float(measure(picture)) for name, measure in MEASURES.items()}


def grey(levels: list[int], repeat: int = 32) -> Pixels:
    row = np.repeat(np.array(levels, np.uint8), repeat)
    return np.ascontiguousarray(np.broadcast_to(row[None, :, None], (64, len(row), 3)))


def test_every_measure_has_bounds_and_every_bound_a_measure() -> None:
    assert set(FilterConfig.model_fields) - {"part_images", "models", "faces"} == set(MEASURES)


def test_known_values() -> None:
    flat = measured(grey([7, 7]))
    assert (flat["blur"], flat["deviation"], flat["entropy"], flat["dominant_share"]) == (0, 0, 0, 1)
    four = measured(grey([0, 80, 160, 240]))
    assert four["entropy"] == pytest.approx(2)
    assert four["dominant_share"] == 0.25
    assert four["deviation"] == pytest.approx(np.std([0, 80, 160, 240]))
    assert (four["short_side_px"], four["long_side_px"], four["aspect_ratio"]) == (64, 128, 2)
    # Of 64 x 64 pixels, the two columns at the step of 100 levels have a Laplacian of +-100.
    assert measured(grey([0, 100]))["blur"] == pytest.approx(100**2 * 2 / 64)


def test_values_hardly_depend_on_the_size_of_the_picture() -> None:
    pixels = np.kron(sharp(5, 256, 192), np.ones((4, 4, 1), np.uint8))
    assert measured(pixels)["blur"] == pytest.approx(measured(sharp(5, 256, 192))["blur"])


@pytest.mark.parametrize("fault", list(FAULTS))
def test_default_bounds_catch_each_fault(fault: str) -> None:
    values = measured(FAULTS[fault])
    found = judge(pa.table({name: [value] for name, value in values.items()}), bounds_of(FilterConfig()))
    assert {name for name, count in found.counts.items() if count} == FAILS[fault]


def test_default_bounds_let_a_good_picture_through() -> None:
    values = measured(sharp(4))
    assert judge(pa.table({name: [value] for name, value in values.items()}), bounds_of(FilterConfig())).kept.all()
