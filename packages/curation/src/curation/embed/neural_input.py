"""From decoded images to the input of a neural model: resize, crop, scale, normalise.

Dimensions: B images, H, W height and width in px.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Images = Sequence[NDArray[np.uint8]]
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class InputRule:
    """`square`: squeezed to side_px x side_px; `short-side`: short side to side_px, then a centre crop if set."""

    resize: Literal["square", "short-side"]
    side_px: int
    crop_px: int | None = None
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    @property
    def one_shape(self) -> bool:
        """Whether all images get the same shape and can share a batch."""
        return self.resize == "square" or self.crop_px is not None

    def describe(self) -> str:
        """The rule in words, part of a store's version."""
        crop = f" crop {self.crop_px}" if self.crop_px else ""
        return f"{self.resize} {self.side_px}{crop} mean {self.mean} std {self.std}"

    def with_settings(
        self, resize: Literal["model", "square", "short-side"], asked_px: int | None, side_px: int
    ) -> InputRule:
        """The rule with what the settings ask for instead; `side_px` is the side that they give or leave."""
        if resize == "model" and asked_px is None:
            return self
        chosen = self.resize if resize == "model" else resize
        # A centre crop keeps every image of one batch in one shape.
        return replace(self, resize=chosen, side_px=side_px, crop_px=side_px if chosen == "short-side" else None)

    def prepare(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Shapes: uint8 [H, W, 3] -> float32 [3, H', W']."""
        sized = _resized(image, self.resize, self.side_px)
        if self.crop_px is not None:
            sized = _centre(sized, self.crop_px)
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        values = (sized.astype(np.float32) / np.float32(255) - mean) / std
        return np.ascontiguousarray(values.transpose(2, 0, 1), np.float32)


def _resized(image: NDArray[np.uint8], resize: str, side_px: int) -> NDArray[np.uint8]:
    import cv2

    height, width = image.shape[:2]
    if resize == "square":
        size = (side_px, side_px)
    else:
        scale = side_px / min(height, width)
        size = (max(side_px, round(width * scale)), max(side_px, round(height * scale)))
    shrinks = size[0] * size[1] < height * width
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size, interpolation=method), np.uint8)


def _centre(image: NDArray[np.uint8], crop_px: int) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    top, left = max(0, (height - crop_px) // 2), max(0, (width - crop_px) // 2)
    return image[top : top + crop_px, left : left + crop_px]


def rule_of_processor(values: dict[str, Any], side_px: int) -> InputRule:
    """The rule that a Hugging Face preprocessor_config.json states; `side_px` where it states no size."""
    size, crop = values.get("size"), values.get("crop_size")
    side = _side(size) or side_px
    cropped = _side(crop) if values.get("do_center_crop") else None
    short_side = isinstance(size, dict) and "shortest_edge" in size
    return InputRule(
        resize="short-side" if short_side and cropped else "square",
        side_px=side,
        crop_px=cropped if short_side else None,
        mean=tuple(values.get("image_mean") or IMAGENET_MEAN),
        std=tuple(values.get("image_std") or IMAGENET_STD),
    )


def _side(size: Any) -> int | None:
    if isinstance(size, int):
        return size
    if isinstance(size, dict):
        return next((int(size[name]) for name in ("shortest_edge", "height", "width") if size.get(name)), None)
    return None


def shape_groups(inputs: Sequence[NDArray[np.float32]]) -> dict[tuple[int, ...], list[int]]:
    """Positions of the inputs by shape, so that equal shapes share a batch."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for position, array in enumerate(inputs):
        groups.setdefault(array.shape, []).append(position)
    return groups
