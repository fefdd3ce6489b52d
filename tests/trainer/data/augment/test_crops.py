from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from trainer.data.augment.crops import enough_pixels, make_crop, make_crops, resize
from trainer.data.augment.parameters import CropDraws, CropParameters
from trainer.data.augment.settings import AugmentationSettings

Pixels = Callable[..., np.ndarray]
BICUBIC = Image.Resampling.BICUBIC


@pytest.mark.parametrize(
    ("height", "width", "size"), [(200, 150, 98), (90, 70, 98), (97, 98, 98), (32, 32, 32), (3, 2, 16)]
)
def test_resize_is_within_a_grey_level_of_pillow(height: int, width: int, size: int, pixels: Pixels) -> None:
    image = pixels(1, height, width)
    difference = resize(image, size).astype(int) - np.asarray(Image.fromarray(image).resize((size, size), BICUBIC))
    assert np.abs(difference).max() <= 1


def test_a_crop_is_resized_from_its_own_pixels_only(pixels: Pixels) -> None:
    image = pixels(2, 120, 160)
    crop = CropParameters(20, 30, 60, 80, False, (), False, 0.0, False)
    out = np.empty((3, 32, 32), np.uint8)
    make_crop(image, crop, AugmentationSettings(), out)
    oracle = np.asarray(Image.fromarray(image[20:80, 30:110]).resize((32, 32), BICUBIC)).transpose(2, 0, 1)
    assert np.abs(out.astype(int) - oracle).max() <= 1


def test_a_flipped_crop_is_the_mirror_image(pixels: Pixels) -> None:
    settings = AugmentationSettings()
    straight = CropParameters(5, 6, 40, 40, False, (("contrast", 1.3), ("hue", 0.05)), False, 1.1, False)
    flipped = CropParameters(5, 6, 40, 40, True, (("contrast", 1.3), ("hue", 0.05)), False, 1.1, False)
    a, b = np.empty((2, 3, 24, 24), np.uint8)
    make_crop(pixels(3), straight, settings, a)
    make_crop(pixels(3), flipped, settings, b)
    assert (a == b[:, :, ::-1]).all()
    assert (a != b).any()


def test_operations_follow_in_the_official_order(pixels: Pixels) -> None:
    image = pixels(4, 64, 64)
    crop = CropParameters(0, 0, 64, 64, False, (("saturation", 1.2), ("brightness", 1.4)), True, 0.0, True)
    out = np.empty((3, 64, 64), np.uint8)
    make_crop(image, crop, AugmentationSettings(), out)
    oracle = ImageEnhance.Brightness(ImageEnhance.Color(Image.fromarray(image)).enhance(1.2)).enhance(1.4)
    oracle = ImageOps.solarize(oracle.convert("L").convert("RGB"), 128)
    assert (out == np.asarray(oracle).transpose(2, 0, 1)).all()


def test_all_crops_of_an_image_are_made(pixels: Pixels) -> None:
    settings = AugmentationSettings(global_px=28, local_px=14, local_crops=3)
    image = pixels(5)
    crops = CropDraws(settings, 0).of(48, 64, 0)
    out = [np.zeros((count, 3, side, side), np.uint8) for count, side in ((2, 28), (3, 14))]
    make_crops(image, crops, settings, out)
    for crop, made in zip(crops, [*out[0], *out[1]], strict=True):
        alone = np.zeros_like(made)
        make_crop(image, crop, settings, alone)
        assert np.abs(made.astype(int) - alone).mean() < 1
        assert made.std() > 0


@pytest.mark.parametrize("channels", [1, 4, 7])
def test_other_numbers_of_channels(channels: int) -> None:
    settings = AugmentationSettings(channels=channels, mean=(0.5,), std=(0.2,), local_crops=1)
    image = np.random.default_rng(0).integers(0, 256, (40, 50, channels), dtype=np.uint8)
    out = np.zeros((3, channels, 16, 16), np.uint8)
    make_crops(image, CropDraws(settings, 0).of(40, 50, 1), settings, [out])
    assert all(made.std() > 0 for made in out)


def test_enough_pixels_leave_every_crop_at_twice_its_size() -> None:
    settings = AugmentationSettings()
    pixels = enough_pixels(settings)
    for sample in range(50):
        side = round(pixels**0.5)
        for number, crop in enumerate(CropDraws(settings, 0).of(side, side, sample)):
            wanted = 2 * (settings.global_px if number < 2 else settings.local_px)
            assert min(crop.height, crop.width) >= wanted - 1
