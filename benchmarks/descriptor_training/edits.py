"""Edits that a copy may have gone through, with random strength."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from pictures import Generator, Pixels, framed, word

Edit = Callable[[Generator, Pixels], Pixels]


def _pixels(values: np.ndarray) -> Pixels:
    return values.clip(0, 255).astype(np.uint8)


def jpeg(rng: Generator, image: Pixels) -> Pixels:
    """Compressed hard."""
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.uniform(8, 60))])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def smaller(rng: Generator, image: Pixels) -> Pixels:
    """Reduced."""
    factor = rng.uniform(0.2, 0.7)
    return np.asarray(cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8)


def down_and_up(rng: Generator, image: Pixels) -> Pixels:
    """Reduced and enlarged again."""
    factor = rng.uniform(0.15, 0.5)
    small = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, image.shape[1::-1]), np.uint8)


def stretched(rng: Generator, image: Pixels) -> Pixels:
    """Another aspect ratio."""
    ratio = rng.uniform(0.65, 1.55)
    size = (int(image.shape[1] * ratio**0.5), int(image.shape[0] / ratio**0.5))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def brighter(rng: Generator, image: Pixels) -> Pixels:
    """Darker or brighter."""
    return _pixels(image * rng.uniform(0.45, 1.7))


def contrast(rng: Generator, image: Pixels) -> Pixels:
    """Less or more contrast."""
    mean = image.mean()
    return _pixels((image - mean) * rng.uniform(0.4, 1.9) + mean)


def hue(rng: Generator, image: Pixels) -> Pixels:
    """Hues turned (OpenCV's circle has 180 steps)."""
    turned = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    turned[..., 0] = (turned[..., 0].astype(int) + int(rng.integers(10, 170))) % 180
    return np.asarray(cv2.cvtColor(turned, cv2.COLOR_HSV2RGB), np.uint8)


def blurred(rng: Generator, image: Pixels) -> Pixels:
    """Out of focus."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.8, 4) * max(image.shape) / 500), np.uint8)


def noisy(rng: Generator, image: Pixels) -> Pixels:
    """Grain."""
    return _pixels(image + rng.standard_normal(image.shape) * rng.uniform(6, 40))


def cropped(rng: Generator, image: Pixels) -> Pixels:
    """A window of half the area or more."""
    area, ratio = rng.uniform(0.5, 0.95), rng.uniform(0.8, 1.25)
    across, down = min(1, (area * ratio) ** 0.5), min(1, (area / ratio) ** 0.5)
    left, top = rng.uniform(0, 1 - across), rng.uniform(0, 1 - down)
    height, width = image.shape[:2]
    window = image[int(top * height) : int((top + down) * height), int(left * width) : int((left + across) * width)]
    return np.ascontiguousarray(window)


def rotated(rng: Generator, image: Pixels) -> Pixels:
    """Turned by a few degrees, black corners."""
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), rng.uniform(2, 12) * rng.choice([-1, 1]), 1)
    return np.asarray(cv2.warpAffine(image, turn, (width, height), flags=cv2.INTER_CUBIC), np.uint8)


def bordered(rng: Generator, image: Pixels) -> Pixels:
    """A plain border on all sides, or on two."""
    share = rng.uniform(0.03, 0.22)
    high, wide = int(share * image.shape[0]), int(share * image.shape[1])
    high, wide = [(high, wide), (high, 0), (0, wide)][rng.integers(3)]
    fills = [(0,) * 3, (255,) * 3, (128,) * 3, tuple(int(value) for value in rng.integers(0, 256, 3))]
    fill = fills[rng.integers(4)]
    return np.asarray(cv2.copyMakeBorder(image, high, high, wide, wide, cv2.BORDER_CONSTANT, value=fill), np.uint8)


def lettered(rng: Generator, image: Pixels) -> Pixels:
    """Lines of outlined text."""
    out, inks = image.copy(), [(255,) * 3, (0,) * 3, (250, 230, 40), (230, 30, 40)]
    height, width = image.shape[:2]
    for _ in range(int(rng.integers(1, 5))):
        ink, at = inks[rng.integers(4)], (int(rng.uniform(0, 0.6) * width), int(rng.uniform(0.1, 1) * height))
        size, text = rng.uniform(0.035, 0.09) * height / 22, f"{word(rng)} {word(rng)}"
        thick, outline = max(1, int(size * 2)), tuple(255 - value for value in ink)
        cv2.putText(out, text, at, cv2.FONT_HERSHEY_DUPLEX, size, outline, thick + 3, cv2.LINE_AA)
        cv2.putText(out, text, at, cv2.FONT_HERSHEY_DUPLEX, size, ink, thick, cv2.LINE_AA)
    return out


def stamped(rng: Generator, image: Pixels) -> Pixels:
    """A plain logo."""
    out, fill = image.copy(), tuple(int(value) for value in rng.integers(0, 256, 3))
    height, width = image.shape[:2]
    half = int((rng.uniform(0.02, 0.12) * height * width) ** 0.5 / 2)
    x, y = int(rng.uniform(half, width - half)), int(rng.uniform(half, height - half))
    if rng.random() < 0.5:
        return np.asarray(cv2.circle(out, (x, y), half, fill, -1), np.uint8)
    return np.asarray(cv2.rectangle(out, (x - half, y - half), (x + half, y + half), fill, -1), np.uint8)


def rounded(_rng: Generator, image: Pixels) -> Pixels:
    """White corners outside an ellipse."""
    height, width = image.shape[:2]
    mask, out = np.zeros((height, width), np.uint8), image.copy()
    cv2.ellipse(mask, (width // 2, height // 2), (int(width * 0.58), int(height * 0.58)), 0, 0, 360, 1, -1)
    out[mask == 0] = 255
    return out


# Geometric edits are named more than once: they are the hard ones.
EDITS: tuple[Edit, ...] = (
    jpeg,
    smaller,
    down_and_up,
    stretched,
    brighter,
    contrast,
    hue,
    blurred,
    noisy,
    cropped,
    cropped,
    cropped,
    rotated,
    rotated,
    bordered,
    bordered,
    lettered,
    stamped,
    rounded,
    framed,
)
