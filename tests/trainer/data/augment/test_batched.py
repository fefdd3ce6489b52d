"""Recolouring of batches on a device against the plain operations, on the same drawn parameters."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from trainer.data.augment import batched
from trainer.data.augment.batched import pack_recolouring, recolour_batch
from trainer.data.augment.crops import recolour
from trainer.data.augment.parameters import CropDraws, CropParameters
from trainer.data.augment.settings import AugmentationSettings
from trainer.data.loader import LoaderSettings, build_loader
from trainer.data.open_source import open_source

Pixels = Callable[..., np.ndarray]
SETTINGS = AugmentationSettings()
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
BARE = CropParameters(0, 0, 8, 8, False, (), False, 0.0, False)


def crops_of(pixels: Pixels, count: int, size: int) -> np.ndarray:
    return np.stack([pixels(seed, size, size).transpose(2, 0, 1) for seed in range(count)])


def both_ways(
    images: np.ndarray, crops: list[CropParameters], settings: AugmentationSettings, device: str
) -> tuple[np.ndarray, np.ndarray]:
    plain, on_device = images.copy(), torch.from_numpy(images.copy()).to(device)
    for planes, crop in zip(plain, crops, strict=True):
        recolour(planes, crop, settings)
    recolour_batch(on_device, pack_recolouring(crops, settings), settings)
    return plain, on_device.cpu().numpy()


@pytest.mark.parametrize("device", DEVICES)
def test_drawn_crops_are_those_of_the_plain_operations(
    pixels: Pixels, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    crops = [crop for sample in range(12) for crop in CropDraws(SETTINGS, 0).of(120, 150, sample)[:5]]
    images = crops_of(pixels, len(crops), 37)
    plain, made = both_ways(images, crops, SETTINGS, device)
    assert np.abs(plain.astype(int) - made).max() <= (0 if device == "cpu" else 2)
    assert (made != images).mean() > 0.5
    monkeypatch.setattr(batched, "VALUES_AT_ONCE", 7 * images[0].size)
    assert (both_ways(images, crops, SETTINGS, device)[1] == made).all(), "a few crops at once are no others"


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    "change",
    [
        {"colour": (("brightness", 0.6),)}, {"colour": (("contrast", 1.4),)}, {"colour": (("saturation", 1.2),)},
        {"colour": (("hue", -0.1),)}, {"colour": (("hue", 0.5),)}, {"colour": (("hue", 0.07), ("contrast", 0.7))},
        {"grayscale": True}, {"blur_sigma": 0.1}, {"blur_sigma": 2.0}, {"solarize": True},
    ],
)  # fmt: skip
def test_each_operation_on_many_colours(change: dict[str, object], device: str) -> None:
    levels = np.linspace(0, 255, 25).astype(np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(125, 125, 3)
    images = np.ascontiguousarray(grid.transpose(2, 0, 1))[None]
    plain, made = both_ways(images, [BARE._replace(**change)], SETTINGS, device)  # type: ignore[arg-type]
    assert np.abs(plain.astype(int) - made).max() <= (0 if device == "cpu" else 2)
    assert (made == images).all() == (change == {"blur_sigma": 0.1})


@pytest.mark.parametrize(("channels", "kernel_px"), [(1, 9), (4, 3), (3, 15)])
def test_other_channels_and_kernels(channels: int, kernel_px: int) -> None:
    settings = AugmentationSettings(channels=channels, blur_kernel_px=kernel_px, mean=(0.5,), std=(0.2,))
    images = np.random.default_rng(0).integers(0, 256, (3, channels, 20, 20), dtype=np.uint8)
    crops = [BARE, BARE._replace(blur_sigma=1.4), BARE._replace(blur_sigma=0.7)]
    plain, made = both_ways(images, crops, settings, "cpu")
    assert (plain == made).all()
    assert (made[0] == images[0]).all()
    assert (made[1:] != images[1:]).any()


@pytest.mark.parametrize("local_crops", [0, 3])
def test_a_stream_is_the_same_wherever_it_is_recoloured(image_folder: Path, local_crops: int) -> None:
    crops = AugmentationSettings(global_px=16, local_px=8, local_crops=local_crops)
    here, there = (
        islice(build_loader(open_source(image_folder), LoaderSettings(4, 4, crops, seed=3, recolour_on_device=way)), 4)
        for way in (False, True)
    )
    for one, other in zip(here, there, strict=True):
        assert torch.equal(one.global_crops, other.global_crops)
        assert torch.equal(one.local_crops, other.local_crops)
        assert one.keys == other.keys
