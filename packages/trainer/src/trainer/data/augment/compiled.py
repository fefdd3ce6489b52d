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
_CROP = struct.Struct("6i8i8fPP")
_STOP, _GRAYSCALE, _BLUR, _SOLARIZE = 0, 5, 6, 7
_KINDS = {"brightness": 1, "contrast": 2, "saturation": 3, "hue": 4}
_MOST_STEPS = 8
_scratch = threading.local()


@cache
def kernels() -> ctypes.CDLL | None:
    """The library beside this file, or None where it was not compiled."""
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        file = Path(__file__).with_name(LIBRARY + suffix)
        if file.is_file():
            library = ctypes.CDLL(str(file))
            library.winnow_scratch_bytes.argtypes = [ctypes.c_char_p, *[ctypes.c_int32] * 3]
            library.winnow_scratch_bytes.restype = ctypes.c_int64
            library.winnow_make_crops.argtypes = [
                ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32, ctypes.c_char_p,
                ctypes.c_int32, ctypes.c_int32, ctypes.c_void_p,
            ]  # fmt: skip
            library.winnow_make_crops.restype = None
            library.winnow_normalize.argtypes = [
                ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32, ctypes.c_int64, *[ctypes.c_void_p] * 3,
            ]  # fmt: skip
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
    """Make all crops of an image. Shapes: image uint8 [H, W, C]; out[i] uint8 [C, S, S], C order, receives crop i."""
    kept_alive: list[np.ndarray] = []
    packed = b"".join(_pack(crop, settings, target, kept_alive) for crop, target in zip(crops, out, strict=True))
    reach, channels = settings.blur_kernel_px // 2, image.shape[2]
    image = np.ascontiguousarray(image)
    scratch = _scratch_of(library.winnow_scratch_bytes(packed, len(crops), channels, reach))
    library.winnow_make_crops(
        image.ctypes.data, image.strides[0], channels, packed, len(crops), reach, scratch.ctypes.data
    )


def normalize(library: ctypes.CDLL, pixels: Pixels, scale: Floats, shift: Floats, out: Floats) -> None:
    """out = pixels * scale + shift per channel. Shapes: [B, C, H, W], C order; scale and shift [C]."""
    assert pixels.flags.c_contiguous and out.flags.c_contiguous
    count, channels, height, width = pixels.shape
    library.winnow_normalize(
        pixels.ctypes.data, count, channels, height * width, scale.ctypes.data, shift.ctypes.data, out.ctypes.data
    )


def _pack(crop: CropParameters, settings: AugmentationSettings, out: Pixels, kept_alive: list[np.ndarray]) -> bytes:
    assert out.flags.c_contiguous
    kinds = [_KINDS[name] for name, _ in crop.colour]
    values = [float(int(value * 255) % 256) if name == "hue" else value for name, value in crop.colour]
    half_kernel = 0
    if crop.grayscale:
        kinds.append(_GRAYSCALE)
        values.append(0.0)
    if crop.blur_sigma:
        weights = blur_weights(crop.blur_sigma, settings.blur_kernel_px)
        kept_alive.append(weights)
        half_kernel = weights.ctypes.data
        kinds.append(_BLUR)
        values.append(0.0)
    if crop.solarize:
        kinds.append(_SOLARIZE)
        values.append(float(settings.solarize_threshold))
    rest = _MOST_STEPS - len(kinds)
    return _CROP.pack(
        crop.top, crop.left, crop.height, crop.width, out.shape[-1], crop.flip,
        *kinds, *[_STOP] * rest, *values, *[0.0] * rest, half_kernel, out.ctypes.data,
    )  # fmt: skip


def _scratch_of(size: int) -> np.ndarray:
    """Working memory of this thread, kept from call to call."""
    buffer: np.ndarray | None = getattr(_scratch, "buffer", None)
    if buffer is None or buffer.nbytes < size:
        buffer = _scratch.buffer = np.empty(-(-size // 64) * 8, dtype=np.float64)
    return buffer
