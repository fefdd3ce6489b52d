"""Draw what happens to every crop of an image, before any pixel is touched.

All random numbers of an image come from one Philox stream keyed by (seed, index of the sample in the training stream),
a fixed number of them per crop: no setting shifts the draws of another, and no worker or rank count changes them.
Source: DINOv2 data/augmentations.py; the draws of torchvision's RandomResizedCrop, ColorJitter and GaussianBlur.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from trainer.data.augment.settings import BLUR_PROBABILITY, AugmentationSettings

CROP_TRIES = 10
COLOUR_STEPS = ("brightness", "contrast", "saturation", "hue")
ColourStep = tuple[str, float]  # one of COLOUR_STEPS and its factor
# Places of the draws of one crop: tries of (area, aspect), top and left, then decisions, factors and their order.
_PLACE = 2 * CROP_TRIES
_DECISIONS = slice(_PLACE + 2, _PLACE + 7)  # flip, jitter, grayscale, blur, solarize
_SIGMA = _PLACE + 7
_FACTORS = slice(_PLACE + 8, _PLACE + 12)
_ORDER = slice(_PLACE + 12, _PLACE + 16)
_DRAWS = _PLACE + 16


class CropParameters(NamedTuple):
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


class CropDraws:
    """Parameters of the crops of any sample; what depends on the settings alone is worked out once."""

    def __init__(self, settings: AugmentationSettings, seed: int) -> None:
        photometric = float(settings.channels == 3)  # other images have no colours to change
        blur = BLUR_PROBABILITY[settings.blur]
        # One generator, set to the beginning of each sample's stream: making one anew takes ten times as long.
        self._stream = np.random.Philox(key=[seed & (1 << 64) - 1, 0])
        self._generator, self._beginning = np.random.Generator(self._stream), self._stream.state
        self._areas = [settings.global_area_fraction] * 2 + [settings.local_area_fraction] * settings.local_crops
        self._aspects = settings.aspect_ratio
        self._probabilities = np.asarray(
            [
                [
                    settings.flip_probability,
                    settings.jitter_probability * photometric,
                    settings.grayscale_probability * photometric,
                    blur[min(number, 2)],
                    settings.solarize_probability * photometric * (number == 1),
                ]
                for number in range(len(self._areas))
            ]
        )
        strengths = np.asarray([settings.brightness, settings.contrast, settings.saturation, settings.hue])
        centre = np.asarray([1.0, 1.0, 1.0, 0.0])
        self._lowest = centre - strengths
        self._spread = 2.0 * strengths
        self._steps = [number for number in range(4) if strengths[number]]
        self._sigmas = settings.blur_sigma_px

    def of(self, height: int, width: int, sample: int) -> list[CropParameters]:
        """The 2 global crops, then all local crops, of sample number `sample`, decoded to height x width pixels."""
        self._beginning["state"]["key"][1] = sample
        self._stream.state = self._beginning
        draws = self._generator.random((len(self._areas), _DRAWS))
        decisions = (draws[:, _DECISIONS] < self._probabilities).tolist()
        factors = (self._lowest + self._spread * draws[:, _FACTORS]).tolist()
        orders = draws[:, _ORDER].argsort(axis=1).tolist()
        low, high = self._sigmas
        sigmas = (low + (high - low) * draws[:, _SIGMA]).tolist()
        places = draws[:, : _PLACE + 2].tolist()
        crops = []
        for number, (flip, jitter, gray, blur, solarize) in enumerate(decisions):
            box = crop_box(height, width, self._areas[number], self._aspects, places[number])
            colour: tuple[ColourStep, ...] = ()
            if jitter:
                own = factors[number]
                colour = tuple([(COLOUR_STEPS[i], own[i]) for i in orders[number] if i in self._steps])
            crops.append(CropParameters(*box, flip, colour, gray, sigmas[number] if blur else 0.0, solarize))
        return crops


def crop_box(
    height: int, width: int, area_range: tuple[float, float], aspect_range: tuple[float, float], u: list[float]
) -> tuple[int, int, int, int]:
    """(top, left, height, width) of a random resized crop from uniform draws `u` in [0, 1).

    Up to 10 tries of (area, aspect); then the largest central crop whose aspect is in range.
    Source: torchvision RandomResizedCrop.get_params; `u` holds 10 pairs of (area, aspect), then (top, left).
    """
    low, high = area_range
    log_low, log_high = math.log(aspect_range[0]), math.log(aspect_range[1])
    for attempt in range(0, 2 * CROP_TRIES, 2):
        area = height * width * (low + (high - low) * u[attempt])
        aspect = math.exp(log_low + (log_high - log_low) * u[attempt + 1])
        crop_width, crop_height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < crop_width <= width and 0 < crop_height <= height:
            top = int((height - crop_height + 1) * u[_PLACE])
            left = int((width - crop_width + 1) * u[_PLACE + 1])
            return top, left, crop_height, crop_width
    crop_height, crop_width = height, width
    if width / height < aspect_range[0]:
        crop_height = max(1, round(width / aspect_range[0]))
    elif width / height > aspect_range[1]:
        crop_width = max(1, round(height * aspect_range[1]))
    return (height - crop_height) // 2, (width - crop_width) // 2, crop_height, crop_width
