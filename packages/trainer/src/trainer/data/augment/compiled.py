"""The compiled kernels, where the installation found a C compiler: all crops of an image in one call.

They do what crops.py, pixel_ops.py and normalize.py do, several times faster: resized pixels are within a grey level,
everything after is equal bit for bit. Nothing is loaded before the first crop is made.
"""

from __future__ import annotations

import ctypes
import importlib.machinery
import struct
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.data.augment.parameters import CropParameters
from trainer.data.augment.pixel_ops import Pixels, blur_weights
from trainer.data.augment.settings import AugmentationSettings

LIBRARY = "_kernels"
Floats = NDArray[np.float32]
# As in kernels/kernels.h: top, left, height, width, size, flip; kinds and values of 8 steps; half kernel, planes.
_CROP, _NUMBERS_PER_CROP = "6i8i8fPP", 24
_NO_STEPS = [0] * 8
_KINDS = {"brightness": 1, "contrast": 2, "saturation": 3, "hue": 4}
_GRAYSCALE, _BLUR, _SOLARIZE = 5, 6, 7
_scratch = threading.local()


@cache
def kernels() -> ctypes.CDLL | None:
    """The library beside this file, or None where it was not compiled."""
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        file = Path(__file__).with_name(LIBRARY + suffix)
        if file.is_file():
            library = ctypes.CDLL(str(file))
            address, small, large = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64
            library.winnow_scratch_bytes.argtypes = [ctypes.c_char_p, small, small, small]
            library.winnow_scratch_bytes.restype = large
            library.winnow_make_crops.argtypes = [address, large, small, ctypes.c_char_p, small, small, address]
            library.winnow_make_crops.restype = None
            library.winnow_normalize.argtypes = [address, large, small, large, address, address, address]
            library.winnow_normalize.restype = None
            return library
    return None


def make_crops(
    library: ctypes.CDLL,
    image: Pixels,
    crops: Sequence[CropParameters],
    settings: AugmentationSettings,
    out: Sequence[Pixels],
) -> None:
    """Make all crops of an image, in order, into the stacks of `out`.

    Shapes: image uint8 [H, W, C]; each of out uint8 [crops, C, S, S], whose crops may lie apart.
    """
    image = np.ascontiguousarray(image)
    reach, channels = settings.blur_kernel_px // 2, image.shape[2]
    half_kernels = np.asarray(
        [blur_weights(crop.blur_sigma, settings.blur_kernel_px) for crop in crops if crop.blur_sigma], np.int16
    )
    half_kernel = half_kernels.ctypes.data
    todo = iter(crops)
    numbers: list[float] = []
    for stack in out:
        assert stack[:1].flags.c_contiguous
        planes, size = stack.ctypes.data, stack.shape[-1]
        for _, crop in zip(range(len(stack)), todo, strict=False):
            top, left, height, width, flip, _, _, blurred, _ = crop
            kinds, values = _steps(crop, settings.solarize_threshold)
            numbers += (top, left, height, width, size, flip, *kinds, *values, half_kernel, planes)
            planes += stack.strides[0]
            half_kernel += 2 * (reach + 1) if blurred else 0
    count = len(numbers) // _NUMBERS_PER_CROP
    recipe = _packing(count).pack(*numbers)
    scratch = _scratch_of(library.winnow_scratch_bytes(recipe, count, channels, reach))
    library.winnow_make_crops(image.ctypes.data, image.strides[0], channels, recipe, count, reach, scratch.ctypes.data)


def _steps(crop: CropParameters, threshold: int) -> tuple[list[int], list[float]]:
    """Kinds and values of a crop's steps, as the kernels read them."""
    kinds = [_KINDS[name] for name, _ in crop.colour]
    values = [int(value * 255) % 256 if name == "hue" else value for name, value in crop.colour]
    if crop.grayscale:
        kinds.append(_GRAYSCALE)
        values.append(0)
    if crop.blur_sigma:
        kinds.append(_BLUR)
        values.append(0)
    if crop.solarize:
        kinds.append(_SOLARIZE)
        values.append(threshold)
    rest = _NO_STEPS[len(kinds) :]
    return kinds + rest, values + rest


@cache
def _packing(crops: int) -> struct.Struct:
    return struct.Struct(_CROP * crops)


def normalize(library: ctypes.CDLL, pixels: Pixels, scale: Floats, shift: Floats, out: Floats) -> None:
    """out = pixels * scale + shift per channel. Shapes: [B, C, H, W], C order; scale and shift [C]."""
    assert pixels.flags.c_contiguous and out.flags.c_contiguous
    count, channels, height, width = pixels.shape
    library.winnow_normalize(
        pixels.ctypes.data, count, channels, height * width, scale.ctypes.data, shift.ctypes.data, out.ctypes.data
    )


def _scratch_of(size: int) -> NDArray[np.float64]:
    """Working memory of this thread, kept from call to call."""
    buffer: NDArray[np.float64] | None = getattr(_scratch, "buffer", None)
    if buffer is None or buffer.nbytes < size:
        buffer = _scratch.buffer = np.empty(-(-size // 64) * 8, dtype=np.float64)
    return buffer
