"""Colour jitter, grayscale, blur and solarisation of whole batches of crops, on any device.

The same operations in the same order as pixel_ops.py, with the same roundings, so that it does not matter where a crop
is recoloured. Crops that have an operation at a place in common are changed together.

N crops, C channels, S pixels of a side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from trainer.data.augment.parameters import COLOUR_STEPS, CropParameters
from trainer.data.augment.pixel_ops import LUMA_16BIT, blur_weights
from trainer.data.augment.settings import AugmentationSettings

VALUES_AT_ONCE = 1 << 25  # 128 MiB as 32-bit numbers


class Recolouring(NamedTuple):
    """What happens to N crops. Shapes: steps int8 [N, 4], the number of a colour step in COLOUR_STEPS or -1; factors
    float32 [N, 4], of hue in 255ths of the circle; gray and solarize bool [N]; half_kernels int32
    [N, blur_kernel_px // 2 + 1], all 0 for no blur.
    """

    steps: Tensor
    factors: Tensor
    gray: Tensor
    half_kernels: Tensor
    solarize: Tensor


def without_recolouring(crop: CropParameters) -> CropParameters:
    """The same cut and flip, with the colours as they are."""
    return crop._replace(colour=(), grayscale=False, blur_sigma=0.0, solarize=False)


def pack_recolouring(crops: Sequence[CropParameters], settings: AugmentationSettings) -> Recolouring:
    """The parameters of N crops as tensors."""
    count, places = len(crops), len(COLOUR_STEPS)
    steps, factors = np.full((count, places), -1, np.int8), np.zeros((count, places), np.float32)
    half_kernels = np.zeros((count, settings.blur_kernel_px // 2 + 1), np.int32)
    for row, crop in enumerate(crops):
        for place, (name, factor) in enumerate(crop.colour):
            steps[row, place] = COLOUR_STEPS.index(name)
            factors[row, place] = int(factor * 255) % 256 if name == "hue" else factor
        if crop.blur_sigma:
            half_kernels[row] = blur_weights(crop.blur_sigma, settings.blur_kernel_px)
    gray = np.asarray([crop.grayscale for crop in crops], bool)
    solarize = np.asarray([crop.solarize for crop in crops], bool)
    return Recolouring(*map(torch.from_numpy, (steps, factors, gray, half_kernels, solarize)))


def recolour_batch(crops: Tensor, todo: Recolouring, settings: AugmentationSettings) -> None:
    """Change uint8 crops [N, C, S, S] in place, on their device; `todo` lies in the memory of the host."""
    at_once = max(1, VALUES_AT_ONCE // max(1, crops[0].numel())) if len(crops) else 1
    for first in range(0, len(crops), at_once):
        part = slice(first, first + at_once)
        _recolour(crops[part], Recolouring(*(tensor[part] for tensor in todo)), settings)


def _recolour(crops: Tensor, todo: Recolouring, settings: AugmentationSettings) -> None:
    values = crops.to(torch.int32)
    for place in range(todo.steps.shape[1]):
        for number, name in enumerate(COLOUR_STEPS):
            _change(values, todo.steps[:, place] == number, _COLOUR[name], todo.factors[:, place])
    _change(values, todo.gray, lambda chosen, _: luma(chosen)[:, None].expand_as(chosen), todo.factors[:, 0])
    _change(values, todo.half_kernels[:, 0] > 0, blur, todo.half_kernels)
    threshold = settings.solarize_threshold
    _change(values, todo.solarize, lambda x, _: torch.where(x >= threshold, 255 - x, x), todo.factors[:, 0])
    crops.copy_(values)


def _change(values: Tensor, which: Tensor, operation: Callable[[Tensor, Tensor], Tensor], arguments: Tensor) -> None:
    """Apply an operation to the crops that it is drawn for, with their arguments."""
    rows = which.nonzero()[:, 0]
    if len(rows):
        there = rows.to(values.device, non_blocking=True)
        values[there] = operation(values[there], arguments[rows].to(values.device, non_blocking=True))


def luma(values: Tensor) -> Tensor:
    """Gray value of every pixel. Shapes: int32 [N, 3, S, S] -> [N, S, S]."""
    red, green, blue = values.unbind(1)
    weights = LUMA_16BIT
    return (weights[0] * red + weights[1] * green + weights[2] * blue + 0x8000) >> 16


def _blend(values: Tensor, toward: Tensor | int, factors: Tensor) -> Tensor:
    """toward + factor * (pixel - toward), truncated and cut to 0..255."""
    mixed = toward + factors.view(-1, 1, 1, 1) * (values - toward).to(torch.float32)
    return mixed.clamp_(0, 255).to(torch.int32)


def _brightness(values: Tensor, factors: Tensor) -> Tensor:
    return _blend(values, 0, factors)


def _contrast(values: Tensor, factors: Tensor) -> Tensor:
    gray = luma(values).flatten(1)
    pixels = gray.shape[1]
    mean = (2 * gray.sum(1, dtype=torch.int64) + pixels) // (2 * pixels)
    return _blend(values, mean.to(torch.int32).view(-1, 1, 1, 1), factors)


def _saturation(values: Tensor, factors: Tensor) -> Tensor:
    return _blend(values, luma(values)[:, None], factors)


def _hue(values: Tensor, shifts: Tensor) -> Tensor:
    """Turn the colour circle by 255ths; see pixel_ops.hue. Divisors lie on the device: GPUs multiply by the inverse of
    others, which is not the same.
    """
    six, most = (torch.full((1,), number, dtype=torch.float32, device=values.device) for number in (6.0, 255.0))
    red, green, blue = values.to(torch.float32).unbind(1)
    high, low = torch.maximum(torch.maximum(red, green), blue), torch.minimum(torch.minimum(red, green), blue)
    chroma = high - low
    part = (high - (red + green + blue - high - low)) / chroma.clamp(min=1)
    red_largest, green_largest = red == high, green == high
    ascending = torch.where(red_largest, green <= blue, torch.where(green_largest, blue <= red, red <= green))
    base = torch.where(red_largest, 0.0, torch.where(green_largest, 2.0, 4.0))
    circle = torch.where(ascending, (base - 1) + part, (base + 1) - part) / six
    angle = (torch.where(circle < 0, circle + 1, circle) * 255).floor() + shifts.view(-1, 1, 1)
    angle = torch.where(angle > 255, angle - 256, angle) * 6 / most
    colourfulness = (chroma / high.clamp(min=1) * 255).floor() / most
    weights = 2 - (angle - 3).abs(), (angle - 2).abs() - 1, (angle - 4).abs() - 1
    turned = [(high * (1 - colourfulness * weight.clamp(0, 1)) + 0.5).floor() for weight in weights]
    return torch.stack(turned, 1).to(torch.int32)


_COLOUR = {"brightness": _brightness, "contrast": _contrast, "saturation": _saturation, "hue": _hue}


def blur(values: Tensor, half_kernels: Tensor) -> Tensor:
    """Gaussian blur with mirrored borders in fixed point; see pixel_ops.blur.

    Shapes: int32 [N, C, S, S] and [N, reach + 1] -> [N, C, S, S].
    """
    size, reach = values.shape[-1], half_kernels.shape[1] - 1
    places = torch.from_numpy(np.pad(np.arange(size), reach, mode="reflect")).to(values.device)
    weights = half_kernels[:, :, None, None, None].unbind(1)
    total = values << 6
    for axis in (3, 2):
        window = [total.index_select(axis, places[k : k + size]) for k in range(2 * reach + 1)]
        total = _rounded_product(window[reach], weights[0])
        for offset in range(1, reach + 1):
            total += _rounded_product(window[reach - offset] + window[reach + offset], weights[offset])
    return (total + 32) >> 6


def _rounded_product(values: Tensor, weight: Tensor) -> Tensor:
    """values * weight / 2^15, rounded."""
    return ((values * weight >> 14) + 1) >> 1
