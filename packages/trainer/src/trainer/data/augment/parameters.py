"""Draw what happens to every crop of an image, before any pixel is touched.

All random numbers of an image come from one Philox stream keyed by (seed, index of the sample in the training stream),
a fixed number of them per crop: no setting shifts the draws of another, and no worker or rank count changes them.
Source: DINOv2 data/augmentations.py; the draws of torchvision's RandomResizedCrop, ColorJitter and GaussianBlur.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from trainer.data.augment.settings import BLUR_PROBABILITY, AugmentationSettings

CROP_TRIES = 10
_DRAWS = 2 * CROP_TRIES + 18
ColourStep = tuple[str, float]  # ("brightness" | "contrast" | "saturation" | "hue", factor)


@dataclass(frozen=True)
class CropParameters:
    """One crop. Units: top, left, height, width in pixels of the decoded image; blur_sigma in pixels, 0 for none."""

    top: int
    left: int
    height: int
    width: int
    flip: bool
    colour: tuple[ColourStep, ...]
    grayscale: bool
    blur_sigma: float
    solarize: bool


def draw_parameters(
    settings: AugmentationSettings, height: int, width: int, seed: int, sample: int
) -> list[CropParameters]:
    """Parameters of 2 global crops, then of all local crops, of sample number `sample` of the stream."""
    mask = (1 << 64) - 1
    generator = np.random.Generator(np.random.Philox(key=[seed & mask, sample & mask]))
    draws = generator.random((2 + settings.local_crops, _DRAWS)).tolist()
    return [_one_crop(settings, number, height, width, row) for number, row in enumerate(draws)]


def _one_crop(settings: AugmentationSettings, number: int, height: int, width: int, u: list[float]) -> CropParameters:
    area = settings.global_area_fraction if number < 2 else settings.local_area_fraction
    top, left, crop_height, crop_width = crop_box(height, width, area, settings.aspect_ratio, u)
    (flip, jitter, gray, blur, sigma, solarize, *colour) = u[2 * CROP_TRIES + 2 :]
    photometric = settings.channels == 3
    low, high = settings.blur_sigma_px
    return CropParameters(
        top,
        left,
        crop_height,
        crop_width,
        flip=flip < settings.flip_probability,
        colour=_jitter(settings, colour) if photometric and jitter < settings.jitter_probability else (),
        grayscale=photometric and gray < settings.grayscale_probability,
        blur_sigma=low + (high - low) * sigma if blur < BLUR_PROBABILITY[settings.blur][min(number, 2)] else 0.0,
        solarize=photometric and number == 1 and solarize < settings.solarize_probability,
    )


def crop_box(
    height: int, width: int, area_range: tuple[float, float], aspect_range: tuple[float, float], u: list[float]
) -> tuple[int, int, int, int]:
    """(top, left, height, width) of a random resized crop from uniform draws `u` in [0, 1).

    Up to 10 tries of (area, aspect); then the largest central crop whose aspect is in range.
    Source: torchvision RandomResizedCrop.get_params; `u` holds 10 pairs of (area, aspect), then (top, left).
    """
    low, high = area_range
    log_low, log_high = math.log(aspect_range[0]), math.log(aspect_range[1])
    for attempt in range(CROP_TRIES):
        area = height * width * (low + (high - low) * u[2 * attempt])
        aspect = math.exp(log_low + (log_high - log_low) * u[2 * attempt + 1])
        crop_width, crop_height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < crop_width <= width and 0 < crop_height <= height:
            top = int((height - crop_height + 1) * u[2 * CROP_TRIES])
            left = int((width - crop_width + 1) * u[2 * CROP_TRIES + 1])
            return top, left, crop_height, crop_width
    crop_height, crop_width = height, width
    if width / height < aspect_range[0]:
        crop_height = max(1, round(width / aspect_range[0]))
    elif width / height > aspect_range[1]:
        crop_width = max(1, round(height * aspect_range[1]))
    return (height - crop_height) // 2, (width - crop_width) // 2, crop_height, crop_width


def _jitter(settings: AugmentationSettings, u: list[float]) -> tuple[ColourStep, ...]:
    """The four colour operations in random order; factor 1 (or hue 0) leaves an operation out."""
    strengths = (settings.brightness, settings.contrast, settings.saturation)
    steps: list[ColourStep] = [
        (name, max(0.0, 1.0 - strength) + (1.0 + strength - max(0.0, 1.0 - strength)) * draw)
        for name, strength, draw in zip(("brightness", "contrast", "saturation"), strengths, u[:3], strict=True)
    ]
    steps.append(("hue", settings.hue * (2.0 * u[3] - 1.0)))
    order = sorted(range(4), key=u[4:8].__getitem__)
    return tuple(steps[i] for i in order if steps[i][1] != (0.0 if steps[i][0] == "hue" else 1.0))
