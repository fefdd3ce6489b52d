"""Cut, resize and recolour the crops of one image from parameters that were drawn before.

The cut is resized with antialiased bicubic interpolation on 8-bit pixels straight from the decoded image (a view, no
copy). Colour, blur and solarisation follow in the order of the official recipe. Compiled kernels do all of it where
they were installed; what stands here says what they do, and does it where they were not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from trainer.data.augment import compiled
from trainer.data.augment import pixel_ops as ops
from trainer.data.augment.parameters import CropParameters
from trainer.data.augment.settings import AugmentationSettings

Pixels = NDArray[np.uint8]


def make_crop(image: Pixels, crop: CropParameters, settings: AugmentationSettings, out: Pixels) -> None:
    """Make one crop without the compiled kernels.

    Shapes: image uint8 [H, W, C]; out uint8 [C, S, S] is filled, S is its side.
    """
    size = out.shape[-1]
    cut = image[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
    resized = resize(cut, size)
    np.copyto(out, (resized[:, ::-1] if crop.flip else resized).transpose(2, 0, 1))
    recolour(out, crop, settings)


def resize(cut: Pixels, size: int) -> Pixels:
    """Antialiased bicubic resize, within one grey level of Pillow's. Shapes: [H, W, C] -> [size, size, C]."""
    if cut.shape[:2] == (size, size):
        return cut
    channels_last = torch.from_numpy(cut).permute(2, 0, 1).unsqueeze(0)
    result = F.interpolate(channels_last, size=(size, size), mode="bicubic", antialias=True, align_corners=False)
    return result[0].permute(1, 2, 0).numpy()


def recolour(planes: Pixels, crop: CropParameters, settings: AugmentationSettings) -> None:
    """Colour jitter, grayscale, blur, solarisation, in place on uint8 [C, S, S]."""
    for name, factor in crop.colour:
        _COLOUR[name](planes, factor)
    if crop.grayscale:
        ops.grayscale(planes)
    if crop.blur_sigma:
        ops.blur(planes, ops.blur_weights(crop.blur_sigma, settings.blur_kernel_px))
    if crop.solarize:
        ops.solarize(planes, settings.solarize_threshold)


_COLOUR = {"brightness": ops.brightness, "contrast": ops.contrast, "saturation": ops.saturation, "hue": ops.hue}


def make_crops(
    image: Pixels, crops: Sequence[CropParameters], settings: AugmentationSettings, out: Sequence[Pixels]
) -> None:
    """Make all crops of an image, in order, into the stacks of `out`.

    Shapes: image uint8 [H, W, C]; each of out uint8 [crops, C, S, S].
    """
    library = compiled.kernels()
    if library is not None:
        compiled.make_crops(library, image, crops, settings, out)
        return
    for crop, target in zip(crops, (plane for stack in out for plane in stack), strict=True):
        make_crop(image, crop, settings, target)


def enough_pixels(settings: AugmentationSettings) -> float:
    """Pixels an image needs so that even its smallest crop is cut at twice the resolution it is resized to.

    A JPEG well above this is decoded smaller: its crops lose nothing that the antialiased resize would keep.
    """
    narrowest = min(settings.aspect_ratio[0], 1 / settings.aspect_ratio[1])
    needs = [(2 * settings.global_px) ** 2 / (settings.global_area_fraction[0] * narrowest)]
    if settings.local_crops:
        needs.append((2 * settings.local_px) ** 2 / (settings.local_area_fraction[0] * narrowest))
    return max(needs)
