"""The photometric operations on planar 8-bit crops: equal to Pillow's, which the official recipe runs on, bit for bit;
the blur, which torchvision makes in floating point, is within a grey level of it.

Each works in place on uint8 [C, H, W] (C is 3 for colour). They are plain NumPy: short to read, and the definition
that the compiled kernels are held to.
Source: Pillow ImageEnhance, Image.blend, ImageOps and Convert.c (luma, HSV), which torchvision's transforms call on
Pillow images; torchvision GaussianBlur.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
LUMA_16BIT = (19595, 38470, 7471)  # ITU-R 601-2
_ONE = 1 << 15  # 1 with 15 fractional bits
_f = np.float32


def luma(planes: Pixels) -> Pixels:
    """Gray value of every pixel: 0.299 R + 0.587 G + 0.114 B, rounded. Shapes: [3, H, W] -> [H, W]."""
    red, green, blue = (plane.astype(np.uint32) * weight for plane, weight in zip(planes, LUMA_16BIT, strict=True))
    gray: Pixels = ((red + green + blue + 0x8000) >> 16).astype(np.uint8)
    return gray


def blend(planes: Pixels, toward: Pixels | int, factor: float) -> None:
    """toward + factor * (pixel - toward), truncated and cut to 0..255."""
    base = np.asarray(toward, dtype=np.float32)
    mixed = base + _f(factor) * (planes.astype(np.float32) - base)
    planes[...] = np.clip(mixed, _f(0), _f(255)).astype(np.uint8)


def brightness(planes: Pixels, factor: float) -> None:
    """Mix with black."""
    blend(planes, 0, factor)


def contrast(planes: Pixels, factor: float) -> None:
    """Mix with the mean gray of the crop."""
    gray = luma(planes)
    blend(planes, int(int(gray.sum(dtype=np.int64)) / gray.size + 0.5), factor)


def saturation(planes: Pixels, factor: float) -> None:
    """Mix with the crop's own gray version."""
    blend(planes, luma(planes), factor)


def hue(planes: Pixels, turns: float) -> None:
    """Turn the colour circle by `turns` (-0.5 to 0.5) in HSV, whose hue and saturation are truncated to 8 bits."""
    red, green, blue = planes.astype(np.float32)
    high, low = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    chroma = high - low
    middle = red + green + blue - high - low
    part = (high - middle) / np.maximum(chroma, _f(1))
    # Sixths of the circle: an odd number, from the largest channel, plus or minus `part`, from the smallest.
    red_largest, green_largest = red == high, green == high
    ascending = np.where(red_largest, green <= blue, np.where(green_largest, blue <= red, red <= green))
    base = np.where(red_largest, _f(0), np.where(green_largest, _f(2), _f(4)))
    sixths = np.where(ascending, (base - _f(1)) + part, (base + _f(1)) - part)
    circle = sixths / _f(6)
    angle = np.floor(np.where(circle < 0, circle + _f(1), circle) * _f(255)) + _f(int(turns * 255) % 256)
    angle = np.where(angle > 255, angle - _f(256), angle) * _f(6) / _f(255)
    colourfulness = np.floor(chroma / np.maximum(high, _f(1)) * _f(255)) / _f(255)
    weights = (_f(2) - np.abs(angle - _f(3)), np.abs(angle - _f(2)) - _f(1), np.abs(angle - _f(4)) - _f(1))
    for plane, weight in zip(planes, weights, strict=True):
        share = _f(1) - colourfulness * np.clip(weight, _f(0), _f(1))
        plane[...] = np.floor(high * share + _f(0.5)).astype(np.uint8)


def grayscale(planes: Pixels) -> None:
    """Replace all three channels by the gray value."""
    planes[...] = luma(planes)


def solarize(planes: Pixels, threshold: int) -> None:
    """Invert the values from the threshold on."""
    np.copyto(planes, 255 - planes, where=planes >= threshold)


def blur_weights(sigma: float, kernel_px: int) -> list[int]:
    """Half a Gaussian kernel, from its centre outwards: kernel_px // 2 + 1 weights with 15 fractional bits.

    The whole kernel sums to 1, or to the largest 16-bit number where there is nothing but the centre.
    """
    half = [math.exp(-0.5 * (offset / sigma) ** 2) for offset in range(kernel_px // 2 + 1)]
    total = half[0] + 2 * sum(half[1:])
    rest = [round(_ONE * weight / total) for weight in half[1:]]
    return [min(_ONE - 2 * sum(rest), _ONE - 1), *rest]


def blur(planes: Pixels, half: list[int]) -> None:
    """Gaussian blur with mirrored borders (the edge pixel is not repeated): rows, then columns, in 16-bit numbers.

    Values have 6 fractional bits and each product is rounded to them: within a grey level of the real convolution.
    """
    reach = len(half) - 1
    padded = np.pad(planes, ((0, 0), (reach, reach), (reach, reach)), mode="reflect").astype(np.int32) << 6
    for axis in (2, 1):
        size = planes.shape[axis]
        window = [np.take(padded, range(k, k + size), axis=axis) for k in range(2 * reach + 1)]
        total = _rounded_product(window[reach], half[0])
        for offset in range(1, reach + 1):
            total += _rounded_product(window[reach - offset] + window[reach + offset], half[offset])
        padded = total
    planes[...] = ((padded + 32) >> 6).astype(np.uint8)


def _rounded_product(values: NDArray[np.int32], weight: int) -> NDArray[np.int32]:
    """values * weight / 2^15, rounded."""
    return ((values * weight >> 14) + 1) >> 1
