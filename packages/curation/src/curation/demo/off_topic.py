"""Pictures that the seed set does not ask for: printed pages, plain gradients, static, bar charts."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


def draw_off_topic(kind: str, rng: np.random.Generator, side_px: int) -> Image:
    """A picture of one of OFF_TOPIC_KINDS. Shapes: -> uint8 [side_px, side_px, 3], RGB."""
    return OFF_TOPIC[kind](rng, side_px)


def _page(rng: np.random.Generator, side_px: int) -> Image:
    """Dark lines of letters on paper."""
    side = 4 * side_px
    page = np.full((side, side, 3), rng.uniform(0.9, 1.0, 3) * 255, np.uint8)
    size = float(rng.uniform(0.5, 0.9))
    margin, line = int(side * rng.uniform(0.04, 0.12)), int(36 * size * rng.uniform(1.0, 1.5))
    grey = int(rng.integers(0, 70))
    for y in range(margin + line, side - margin, line):
        letters = rng.integers(97, 123, int(rng.integers(12, 40)))
        letters[rng.random(len(letters)) < 0.18] = 32
        text = bytes(letters.astype(np.uint8)).decode("ascii")
        cv2.putText(page, text, (margin, y), cv2.FONT_HERSHEY_SIMPLEX, size, (grey, grey, grey), 1, cv2.LINE_AA)
    page[:, side - margin :] = page[0, 0]
    return np.asarray(cv2.resize(page, (side_px, side_px), interpolation=cv2.INTER_AREA), np.uint8)


def _gradient(rng: np.random.Generator, side_px: int) -> Image:
    """One colour that runs into another."""
    y, x = np.mgrid[0:side_px, 0:side_px].astype(np.float32) / side_px
    angle = rng.uniform(0, 2 * np.pi)
    along = (np.cos(angle) * (x - 0.5) + np.sin(angle) * (y - 0.5) + 0.75) / 1.5
    ends = rng.uniform(20, 235, (2, 3)).astype(np.float32)
    plain = ends[0] + along[..., None] ** np.float32(rng.uniform(0.6, 1.6)) * (ends[1] - ends[0])
    plain += rng.standard_normal(plain.shape, dtype=np.float32) * 2
    return np.asarray(np.clip(plain, 0, 255), np.uint8)


def _static(rng: np.random.Generator, side_px: int) -> Image:
    """Noise without structure, grey or coloured."""
    level, strength = rng.uniform(90, 165), rng.uniform(35, 70)
    channels = 1 if rng.random() < 0.5 else 3
    noise = level + strength * rng.standard_normal((side_px, side_px, channels), dtype=np.float32)
    return np.clip(np.broadcast_to(noise, (side_px, side_px, 3)), 0, 255).astype(np.uint8)


def _chart(rng: np.random.Generator, side_px: int) -> Image:
    """Bars of one or several colours, upright or lying, with or without a grid, on a pale ground."""
    side = 2 * side_px
    chart = np.full((side, side, 3), rng.integers(215, 256, 3), np.uint8)
    bars, margin = int(rng.integers(4, 13)), int(rng.integers(side // 20, side // 6))
    step = (side - 2 * margin) // bars
    for line in range(margin, side - margin, int(rng.integers(side // 12, side // 3))):
        cv2.line(chart, (margin, line), (side - margin, line), (190, 190, 190), 1)
    colours = rng.integers(20, 220, (bars if rng.random() < 0.5 else 1, 3)).tolist()
    for bar in range(bars):
        left = margin + bar * step
        top = int(side - margin - rng.uniform(0.05, 1.0) * (side - 2 * margin))
        colour = colours[bar % len(colours)]
        cv2.rectangle(chart, (left, top), (left + step - max(step // 4, 1), side - margin), colour, -1)
    cv2.line(chart, (margin // 2, side - margin), (side - margin // 2, side - margin), (40, 40, 40), 2)
    if rng.random() < 0.5:
        chart = np.ascontiguousarray(np.rot90(chart, 3))
    return np.asarray(cv2.resize(chart, (side_px, side_px), interpolation=cv2.INTER_AREA), np.uint8)


OFF_TOPIC: dict[str, Callable[[np.random.Generator, int], Image]] = {
    "charts": _chart,
    "gradients": _gradient,
    "pages": _page,
    "static": _static,
}
OFF_TOPIC_KINDS = tuple(OFF_TOPIC)
