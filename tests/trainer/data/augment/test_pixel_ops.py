"""Every photometric operation against its definition.

torchvision's transforms on Pillow images are thin calls of Pillow, repeated here as the oracle (torchvision itself is
no dependency): ImageEnhance for brightness, contrast and saturation, conversion to HSV and back around a shift of the
8-bit hue, conversion to L, ImageOps.solarize; its Gaussian blur is a depthwise convolution in float32 with mirrored
borders. The requirement is 2 grey levels; all but the blur are equal.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from trainer.data.augment import pixel_ops as ops

Pixels = Callable[..., np.ndarray]
ENHANCE = {
    "brightness": (ops.brightness, ImageEnhance.Brightness),
    "contrast": (ops.contrast, ImageEnhance.Contrast),
    "saturation": (ops.saturation, ImageEnhance.Color),
}


def planes(image: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(image.transpose(2, 0, 1))


def many_colours() -> np.ndarray:
    """Every combination of 41 levels of red, green and blue, the ends included."""
    levels = np.linspace(0, 255, 41).astype(np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1)
    return grid.reshape(len(levels), -1, 3)


@pytest.mark.parametrize("factor", [0.0, 0.6, 0.837, 1.0, 1.2, 1.4])
@pytest.mark.parametrize("name", ENHANCE)
def test_mixing_equals_pillow(name: str, factor: float, pixels: Pixels) -> None:
    ours, theirs = ENHANCE[name]
    for image in (many_colours(), pixels(1, 98, 98)):
        result = planes(image)
        ours(result, factor)
        assert (result == planes(np.asarray(theirs(Image.fromarray(image)).enhance(factor)))).all()


@pytest.mark.parametrize("turns", [-0.5, -0.1, -0.043, -0.001, 0.0, 0.02, 0.0999, 0.5])
def test_hue_equals_pillow(turns: float, pixels: Pixels) -> None:
    for image in (many_colours(), pixels(2, 98, 98)):
        hue, saturation, value = Image.fromarray(image).convert("HSV").split()
        shifted = np.array(hue) + np.array(int(turns * 255) % 256, dtype=np.uint8)
        oracle = Image.merge("HSV", (Image.fromarray(shifted), saturation, value)).convert("RGB")
        result = planes(image)
        ops.hue(result, turns)
        assert (result == planes(np.asarray(oracle))).all()


def test_grayscale_equals_pillow() -> None:
    image = many_colours()
    result = planes(image)
    ops.grayscale(result)
    gray = np.asarray(Image.fromarray(image).convert("L"))
    assert (result == gray).all()
    assert (ops.luma(planes(image)) == gray).all()


@pytest.mark.parametrize("threshold", [0, 1, 128, 255, 256])
def test_solarize_equals_pillow(threshold: int, pixels: Pixels) -> None:
    result = planes(pixels(3))
    ops.solarize(result, threshold)
    assert (result == planes(np.asarray(ImageOps.solarize(Image.fromarray(pixels(3)), threshold)))).all()


def convolution(image: np.ndarray, sigma: float, kernel_px: int) -> np.ndarray:
    """torchvision gaussian_blur on a uint8 image: outer product of the normalised kernel, reflect padding, round."""
    reach = kernel_px // 2
    x = torch.linspace(-reach, reach, kernel_px)
    kernel = torch.exp(-0.5 * (x / sigma) ** 2)
    kernel = kernel / kernel.sum()
    weight = torch.outer(kernel, kernel).expand(image.shape[0], 1, kernel_px, kernel_px)
    padded = torch.nn.functional.pad(torch.from_numpy(image)[None].float(), [reach] * 4, mode="reflect")
    blurred = torch.nn.functional.conv2d(padded, weight, groups=image.shape[0])
    return blurred.round().to(torch.uint8)[0].numpy()


@pytest.mark.parametrize("sigma", [0.1, 0.5, 1.0, 2.0])
@pytest.mark.parametrize(("height", "width", "kernel_px"), [(98, 98, 9), (5, 17, 9), (30, 20, 3), (6, 6, 1)])
def test_blur_is_the_convolution(sigma: float, height: int, width: int, kernel_px: int, pixels: Pixels) -> None:
    image = planes(pixels(4, height, width))
    result = image.copy()
    ops.blur(result, ops.blur_weights(sigma, kernel_px))
    difference = np.abs(result.astype(int) - convolution(image, sigma, kernel_px))
    assert difference.max() <= 1
    assert difference.mean() < 0.04


def test_blur_weights_are_a_whole_kernel() -> None:
    half = ops.blur_weights(1.3, 9)
    assert len(half) == 5
    assert half[0] + 2 * sum(half[1:]) == 1 << 15
    assert (np.diff(half) < 0).all()
    assert ops.blur_weights(0.1, 9) == [(1 << 15) - 1, 0, 0, 0, 0]


@pytest.mark.parametrize("level", [0, 1, 128, 254, 255])
def test_blur_leaves_flat_areas_alone(level: int) -> None:
    for sigma in (0.1, 0.7, 2.0):
        flat = np.full((3, 20, 20), level, np.uint8)
        ops.blur(flat, ops.blur_weights(sigma, 9))
        assert (flat == level).all()
