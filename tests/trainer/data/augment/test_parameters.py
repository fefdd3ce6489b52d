from __future__ import annotations

import math

import numpy as np
import pytest

from trainer.data.augment.parameters import CropDraws, CropParameters, crop_box
from trainer.data.augment.settings import AugmentationSettings


def draws(settings: AugmentationSettings, samples: int = 1500) -> list[list[CropParameters]]:
    drawn = CropDraws(settings, 11)
    return [drawn.of(300, 400, sample) for sample in range(samples)]


def share(found: list[bool]) -> float:
    return float(np.mean(found))


@pytest.mark.parametrize(("blur", "wanted"), [("released", (0.0, 0.9, 0.5)), ("nominal", (1.0, 0.1, 0.5))])
def test_probabilities(blur: str, wanted: tuple[float, float, float]) -> None:
    found = draws(AugmentationSettings(local_crops=2, blur=blur))  # type: ignore[arg-type]
    for crop, probability in enumerate((*wanted, wanted[2])):
        here = [sample[crop] for sample in found]
        assert share([c.blur_sigma > 0 for c in here]) == pytest.approx(probability, abs=0.04)
        assert share([c.flip for c in here]) == pytest.approx(0.5, abs=0.05)
        assert share([bool(c.colour) for c in here]) == pytest.approx(0.8, abs=0.04)
        assert share([c.grayscale for c in here]) == pytest.approx(0.2, abs=0.04)
        assert share([c.solarize for c in here]) == pytest.approx(0.2 if crop == 1 else 0.0, abs=0.04)


def test_factors_are_uniform_in_their_ranges_and_their_order_is_random() -> None:
    crops = [crop for sample in draws(AugmentationSettings(), 300) for crop in sample if crop.colour]
    for name, low, high in (
        ("brightness", 0.6, 1.4),
        ("contrast", 0.6, 1.4),
        ("saturation", 0.8, 1.2),
        ("hue", -0.1, 0.1),
    ):
        factors = np.asarray([dict(crop.colour)[name] for crop in crops])
        assert low <= factors.min() < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < factors.max() <= high
        assert factors.mean() == pytest.approx((low + high) / 2, abs=0.03 * (high - low))
    orders = [tuple(name for name, _ in crop.colour) for crop in crops]
    counts = [orders.count(order) for order in set(orders)]
    assert len(counts) == 24
    assert min(counts) > len(orders) / 24 * 0.5


def test_crop_areas_and_aspects_are_those_of_random_resized_crop() -> None:
    found = draws(AugmentationSettings())
    for crops, (low, high) in (([s[0] for s in found], (0.32, 1.0)), ([s[5] for s in found], (0.05, 0.32))):
        areas = np.asarray([crop.height * crop.width / (300 * 400) for crop in crops])
        aspects = np.asarray([crop.width / crop.height for crop in crops])
        assert low - 0.01 <= areas.min()
        assert areas.max() <= high + 0.01
        assert aspects.min() > 0.74
        assert aspects.max() < 1.35
        for crop in crops:
            assert 0 <= crop.top <= 300 - crop.height
            assert 0 <= crop.left <= 400 - crop.width
    local = [s[5] for s in found]
    assert np.mean([c.height * c.width for c in local]) / (300 * 400) == pytest.approx(0.185, abs=0.01)
    assert np.mean([math.log(c.width / c.height) for c in local]) == pytest.approx(0.0, abs=0.02)
    assert np.mean([c.top / (300 - c.height) for c in local]) == pytest.approx(0.5, abs=0.03)


def test_a_crop_that_never_fits_falls_back_to_the_centre() -> None:
    # Source of the expected boxes: torchvision RandomResizedCrop.get_params, last lines.
    u = [0.999] * 22
    assert crop_box(100, 1000, (0.9, 1.0), (3 / 4, 4 / 3), u) == (0, 433, 100, 133)
    assert crop_box(1000, 100, (0.9, 1.0), (3 / 4, 4 / 3), u) == (433, 0, 133, 100)
    assert crop_box(1, 1, (0.05, 0.3), (3 / 4, 4 / 3), [0.0] * 22) == (0, 0, 1, 1)


def test_draws_depend_on_seed_and_sample_alone() -> None:
    settings = AugmentationSettings()
    assert CropDraws(settings, 1).of(300, 400, 2) == CropDraws(settings, 1).of(300, 400, 2)
    assert CropDraws(settings, 1).of(300, 400, 2) != CropDraws(settings, 1).of(300, 400, 3)
    assert CropDraws(settings, 1).of(300, 400, 2) != CropDraws(settings, 2).of(300, 400, 2)
    assert CropDraws(settings, 1).of(300, 400, 1 << 40) != CropDraws(settings, 1).of(300, 400, 0)


def test_one_setting_does_not_shift_the_draws_of_another() -> None:
    plain = CropDraws(AugmentationSettings(), 5).of(300, 400, 5)
    fewer = CropDraws(AugmentationSettings(local_crops=2, grayscale_probability=0.0), 5).of(300, 400, 5)
    for one, other in zip(plain, fewer, strict=False):
        assert (one.top, one.left, one.colour, one.blur_sigma) == (
            other.top,
            other.left,
            other.colour,
            other.blur_sigma,
        )


def test_images_without_three_channels_keep_their_colours() -> None:
    settings = AugmentationSettings(channels=1, mean=(0.5,), std=(0.2,))
    crops = [crop for sample in range(50) for crop in CropDraws(settings, 0).of(300, 400, sample)]
    assert not any(crop.colour or crop.grayscale or crop.solarize for crop in crops)
    assert any(crop.blur_sigma for crop in crops)
