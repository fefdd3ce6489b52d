from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from trainer.data.augment.crops import enough_pixels, make_crop, make_crops, resize
from trainer.data.augment.parameters import CropDraws, CropParameters
from trainer.data.augment.settings import AugmentationSettings

Pixels = Callable[..., np.ndarray]
ENHANCERS = {
    "brightness": ImageEnhance.Brightness,
    "contrast": ImageEnhance.Contrast,
    "saturation": ImageEnhance.Color,
}
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


def plainly_made(image: Image.Image, crop: CropParameters, settings: AugmentationSettings, size: int) -> np.ndarray:
    """The crop as torchvision's transforms make it of a Pillow image, blur in floating point. Shapes: [C, S, S]."""
    box = (crop.left, crop.top, crop.left + crop.width, crop.top + crop.height)
    image = image.crop(box).resize((size, size), BICUBIC)
    if crop.flip:
        image = ImageOps.mirror(image)
    for name, factor in crop.colour:
        if name == "hue":
            hue, saturation, value = image.convert("HSV").split()
            shifted = np.array(hue) + np.array(int(factor * 255) % 256, dtype=np.uint8)
            image = Image.merge("HSV", (Image.fromarray(shifted), saturation, value)).convert("RGB")
        else:
            image = ENHANCERS[name](image).enhance(factor)
    if crop.grayscale:
        image = image.convert("L").convert("RGB")
    planes = np.asarray(image).transpose(2, 0, 1)
    if crop.blur_sigma:
        reach = settings.blur_kernel_px // 2
        kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / crop.blur_sigma) ** 2)
        padded = np.pad(planes, ((0, 0), (reach, reach), (reach, reach)), mode="reflect")
        windows = np.lib.stride_tricks.sliding_window_view(padded, (len(kernel), len(kernel)), axis=(1, 2))
        planes = np.einsum("chwij,ij->chw", windows, np.outer(kernel, kernel) / kernel.sum() ** 2).round()
    planes = planes.astype(np.uint8)
    return np.where(planes >= settings.solarize_threshold, 255 - planes, planes) if crop.solarize else planes


@pytest.mark.parametrize(("convention", "probabilities"), [("released", (0.0, 0.9, 0.5)), ("nominal", (1.0, 0.1, 0.5))])
def test_drawn_crops_of_both_blur_conventions_are_those_of_torchvision(
    convention: str, probabilities: tuple[float, float, float], pixels: Pixels
) -> None:
    """The published code passes 1 - p to a transform that takes p: released is what it did, nominal what it meant."""
    settings = AugmentationSettings(global_px=42, local_px=28, local_crops=2, blur=convention)  # type: ignore[arg-type]
    image, drawn, blurred = pixels(7, 120, 160), CropDraws(settings, 3), []
    for sample in range(40):
        crops = drawn.of(120, 160, sample)
        out = [np.zeros((2, 3, side, side), np.uint8) for side in (42, 28)]
        make_crops(image, crops, settings, out)
        for crop, made in zip(crops, [*out[0], *out[1]], strict=True):
            wanted = plainly_made(Image.fromarray(image), crop, settings, made.shape[-1])
            difference = np.abs(made.astype(int) - wanted)
            assert difference.mean() < 1, (sample, crop)
            assert np.quantile(difference, 0.99) <= 4, (sample, crop)
        blurred.append([crop.blur_sigma > 0 for crop in crops])
    assert np.abs(np.mean(blurred, axis=0) - [*probabilities, probabilities[2]]).max() < 0.2


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
