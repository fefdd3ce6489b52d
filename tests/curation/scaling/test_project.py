from __future__ import annotations

import pytest

from curation.index.plan import EXACT_ROWS, plan_index
from curation.scaling.costs import ImageCosts, measured_costs
from curation.scaling.project import PlannedPool, join_flops, project


def test_an_image_costs_a_part_of_its_own_and_parts_by_size() -> None:
    costs = ImageCosts(per_image=1.0, per_megapixel=2.0, per_byte=0.5)
    assert costs.of(megapixels=3.0, image_bytes=4.0) == 1 + 6 + 2


def test_the_operations_of_a_join_are_those_of_its_products() -> None:
    exact = join_flops(plan_index(1000, 64, "exact"))
    assert exact == {"products": 1000 * 1000 / 2 * 128}
    lists = join_flops(plan_index(100_000, 64, "ivf", lists=500, overlap=4))
    assert lists["assignment"] == 100_000 * 500 * 128
    assert lists["products"] == 400_000**2 / 1000 * 128
    assert lists["training"] == 6 * 16_000 * 500 * 128


def test_what_was_measured_small_foretells_what_was_measured_large() -> None:
    """The speed of a million rows, from the same formula, is within a third of what 100,000 rows took."""
    check = measured_costs().join_check
    assert 1_000_000 in check
    for rows, seconds in check.items():
        if rows >= 100_000:
            assert seconds["foretold"] == pytest.approx(seconds["measured"], rel=1 / 3)


def test_steps_grow_with_the_images_and_the_join_faster_but_far_from_quadratic() -> None:
    costs = measured_costs()
    small = project(PlannedPool(images=1_000_000), costs, cores=2)
    large = project(PlannedPool(images=100_000_000), costs, cores=2)
    for one, other in zip(small.steps, large.steps, strict=True):
        growth = other.core_seconds / one.core_seconds
        assert 100 < growth < 1000 if one.step == "join" else growth == pytest.approx(100)
        assert other.memory > one.memory
    assert small.core_seconds == pytest.approx(sum(step.core_seconds for step in small.steps))
    assert not small.warnings
    assert "GB in one process" in project(PlannedPool(images=10**10), costs, cores=2).warnings[0]


def test_small_pools_are_planned_as_exact_joins() -> None:
    found = project(PlannedPool(images=EXACT_ROWS), measured_costs(), cores=1)
    assert found.index.kind == "exact"
    assert found.as_dict()["index"].startswith("exact")
