"""The compiled kernels against the plain operations, and their resize against Pillow's."""

from __future__ import annotations

import ctypes
import shutil
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image

from trainer.data.augment import compiled, normalize
from trainer.data.augment.crops import make_crop, make_crops, recolour
from trainer.data.augment.parameters import CropDraws, CropParameters
from trainer.data.augment.settings import AugmentationSettings

Pixels = Callable[..., np.ndarray]
BARE = CropParameters(0, 0, 0, 0, False, (), False, 0.0, False)
SETTINGS = AugmentationSettings()


@pytest.fixture
def library() -> ctypes.CDLL:
    found = compiled.kernels()
    if found is None:
        pytest.skip("the kernels were not compiled on this machine")
    return found


def crop_of(library: ctypes.CDLL, image: np.ndarray, crop: CropParameters, size: int) -> np.ndarray:
    out = np.empty((image.shape[2], size, size), np.uint8)
    compiled.make_crops(library, image, [crop], SETTINGS, [out[None]])
    return out


def test_kernels_are_there_where_there_is_a_compiler() -> None:
    if shutil.which("cc") or shutil.which("gcc"):
        assert compiled.kernels() is not None, "install the trainer again: pip install -e packages/trainer"


@pytest.mark.parametrize(
    ("height", "width", "size"),
    [(340, 350, 224), (180, 181, 98), (97, 113, 98), (30, 40, 98), (98, 98, 98), (33, 500, 17), (1, 1, 9), (2, 3, 32)],
)
def test_resize_is_within_two_levels_of_pillow(
    library: ctypes.CDLL, pixels: Pixels, height: int, width: int, size: int
) -> None:
    image = pixels(1, height + 9, width + 5)
    crop = BARE._replace(top=7, left=3, height=height, width=width)
    cut = Image.fromarray(image[7 : 7 + height, 3 : 3 + width])
    oracle = np.asarray(cut.resize((size, size), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
    difference = np.abs(crop_of(library, image, crop, size).astype(int) - oracle)
    assert difference.max() <= 2
    assert difference.mean() < 0.06


@pytest.mark.parametrize("channels", [1, 2, 4, 7])
def test_every_channel_is_resized_as_it_would_be_alone(library: ctypes.CDLL, channels: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (50, 60, channels), dtype=np.uint8)
    crop = BARE._replace(height=50, width=60)
    together = crop_of(library, image, crop, 24)
    for channel in range(channels):
        assert (together[channel] == crop_of(library, image[..., [channel]], crop, 24)[0]).all()


def test_flat_areas_stay_flat(library: ctypes.CDLL) -> None:
    for level in (0, 1, 127, 254, 255):
        image = np.full((301, 217, 3), level, np.uint8)
        made = crop_of(library, image, BARE._replace(height=301, width=217), 40)
        assert np.abs(made.astype(int) - level).max() <= (0 if level in (0, 255) else 1)


def test_a_flip_is_the_exact_mirror_image(library: ctypes.CDLL, pixels: Pixels) -> None:
    crop = BARE._replace(height=48, width=64)
    flipped = crop._replace(flip=True)
    image = pixels(2)
    assert (crop_of(library, image, flipped, 30) == crop_of(library, image, crop, 30)[:, :, ::-1]).all()


def test_colours_are_those_of_the_plain_operations(library: ctypes.CDLL, pixels: Pixels) -> None:
    image = pixels(3, 120, 150)
    for sample in range(12):
        for number, crop in enumerate(CropDraws(SETTINGS, 0).of(120, 150, sample)):
            size = 40 if number < 2 else 21
            bare = crop._replace(colour=(), grayscale=False, blur_sigma=0.0, solarize=False)
            plain = crop_of(library, image, bare, size)
            recolour(plain, crop, SETTINGS)
            assert (crop_of(library, image, crop, size) == plain).all(), crop


@pytest.mark.parametrize("order", [("contrast", "contrast"), ("hue", "contrast"), ("contrast", "hue")])
def test_contrast_uses_the_mean_of_what_came_before(
    library: ctypes.CDLL, pixels: Pixels, order: tuple[str, str]
) -> None:
    factors = {"contrast": 1.37, "hue": -0.1}
    colour = tuple((name, factors[name]) for name in order)
    crop = BARE._replace(height=48, width=64, colour=colour, solarize=True)
    plain = crop_of(library, pixels(4), BARE._replace(height=48, width=64), 33)
    recolour(plain, crop, SETTINGS)
    assert (crop_of(library, pixels(4), crop, 33) == plain).all()


@pytest.mark.parametrize("kernel_px", [1, 3, 9, 15])
@pytest.mark.parametrize("size", [4, 5, 40])
def test_blur_is_the_plain_one(library: ctypes.CDLL, pixels: Pixels, kernel_px: int, size: int) -> None:
    settings = AugmentationSettings(blur_kernel_px=kernel_px)
    crop = BARE._replace(height=48, width=64, blur_sigma=1.4)
    plain = crop_of(library, pixels(5), crop._replace(blur_sigma=0.0), size)
    recolour(plain, crop, settings)
    out = np.empty_like(plain)
    compiled.make_crops(library, pixels(5), [crop], settings, [out[None]])
    assert (out == plain).all()


def test_an_image_that_is_a_view_is_read_right(library: ctypes.CDLL, pixels: Pixels) -> None:
    image = pixels(6)
    crop = BARE._replace(top=2, left=1, height=40, width=30)
    turned = image.transpose(1, 0, 2)
    assert (crop_of(library, turned, crop, 20) == crop_of(library, np.ascontiguousarray(turned), crop, 20)).all()


def test_normalise_is_the_plain_one(library: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> None:
    values = torch.randint(0, 256, (3, 3, 17, 19), dtype=torch.uint8)
    fast = normalize.normalize(values, SETTINGS.mean, SETTINGS.std)
    monkeypatch.setattr(compiled, "kernels", lambda: None)
    assert torch.equal(fast, normalize.normalize(values, SETTINGS.mean, SETTINGS.std))


def test_without_kernels_crops_are_made_plainly(pixels: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "kernels", lambda: None)
    (crop, *_) = CropDraws(SETTINGS, 0).of(48, 64, 0)
    one, other = np.zeros((2, 3, 16, 16), np.uint8)
    make_crops(pixels(7), [crop], SETTINGS, [one[None]])
    make_crop(pixels(7), crop, SETTINGS, other)
    assert (one == other).all()
    assert one.std() > 0
