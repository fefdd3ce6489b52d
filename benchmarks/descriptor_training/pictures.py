"""Procedural pictures to train on: overlapping textured shapes, fractal noise, pages, plain shapes, framed pictures.

Source: dead leaves with textures, as in Baradad et al. 2021 (arXiv 2106.05963); no photograph is needed, so that the
weights can be made again anywhere and carry nobody's rights.

Dimensions: H, W height and width in px.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Generator = np.random.Generator

SIZES_PX = ((256, 341), (341, 256), (256, 256), (256, 384))
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDE0123456789"
# Kinds whose pictures are alike: training weighs them up.
ALIKE_KINDS = ("page", "shapes", "framed")
# Pages and frames come in this many layouts. What pictures of one layout share says nothing about copies: training
# counts it as noise.
LAYOUTS = 24
_SHARES = {"leaves": 0.74, "fractal": 0.05, "page": 0.11, "shapes": 0.04, "framed": 0.06}


@dataclass(frozen=True)
class Made:
    """A picture, its kind, and the layout that it shares with others (None: its own)."""

    kind: str
    layout: str | None
    image: Pixels


def picture(rng: Generator) -> Made:
    """A random picture of a random kind."""
    kind = str(rng.choice(list(_SHARES), p=list(_SHARES.values())))
    height, width = SIZES_PX[rng.integers(len(SIZES_PX))]
    if kind == "leaves":
        return Made(kind, None, leaves(rng, height, width))
    if kind == "fractal":
        return Made(kind, None, _pixels(colour(rng) + fractal(rng, height, width)))
    if kind == "shapes":
        return Made(kind, None, shapes(rng))
    number = int(rng.integers(LAYOUTS))
    layout = np.random.default_rng([9, number])
    made = page(rng, layout) if kind == "page" else framed(rng, leaves(rng, height, width), layout)
    return Made(kind, f"{kind} {number}", made)


def _pixels(values: NDArray[np.floating]) -> Pixels:
    return values.clip(0, 255).astype(np.uint8)


def colour(rng: Generator) -> NDArray[np.float64]:
    """A colour near a grey. Shapes: [3], 0 to 255."""
    return np.clip(rng.uniform(10, 245) + rng.normal(0, 35, 3), 0, 255)


def fractal(rng: Generator, height: int, width: int) -> NDArray[np.float32]:
    """Noise whose strength falls with frequency, channels correlated. Shapes: [H, W, 3], about zero."""
    fall, total, cells = rng.uniform(0.8, 1.8), np.zeros((height, width, 3), np.float32), 3
    longest = max(height, width)
    while cells < longest:
        shape = (max(2, cells * height // longest), max(2, cells * width // longest), 3)
        noise = rng.standard_normal(shape).astype(np.float32)
        total += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC) * (cells / 3) ** -fall
        cells = int(cells * 1.8) + 1
    grey = total.mean(axis=2, keepdims=True)
    return (grey + (total - grey) * rng.uniform(0.1, 0.6)) * rng.uniform(15, 60)


def leaves(rng: Generator, height: int, width: int) -> Pixels:
    """Shapes of all sizes over each other, shaded and textured; a few dozen, the large ones first."""
    image = colour(rng) + fractal(rng, height, width) * 0.6
    textures = [fractal(rng, height, width) for _ in range(3)]
    count = int(rng.integers(3, 120))
    sizes = np.clip(0.03 / (rng.random(count) ** rng.uniform(0.8, 1.6) + 0.03), 0.015, 0.7)
    radii = np.sort(sizes)[::-1] * min(height, width)
    rng.shuffle(radii[count // 3 :])
    for radius in radii:
        x, y = rng.uniform(-0.1, 1.1) * width, rng.uniform(-0.1, 1.1) * height
        rows, columns = np.nonzero(_leaf_mask(rng, height, width, x, y, radius))
        if len(rows):
            slope = rng.normal(0, 10, 2) / max(radius, 1)
            shade = slope[0] * (rows - y) + slope[1] * (columns - x)
            texture = textures[rng.integers(3)][rows, columns] * rng.uniform(0, 1.2)
            image[rows, columns] = colour(rng) + shade[:, None] + texture
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.5))
    return _pixels(image)


def _leaf_mask(rng: Generator, height: int, width: int, x: float, y: float, radius: float) -> Pixels:
    mask = np.zeros((height, width), np.uint8)
    kind = rng.integers(4)
    if kind == 0:
        axes = (max(1, int(radius)), max(1, int(radius * rng.uniform(0.3, 1))))
        cv2.ellipse(mask, (int(x), int(y)), axes, rng.uniform(0, 180), 0, 360, 1, -1)
    elif kind == 1:
        turn = float(rng.choice([0, 90, rng.uniform(0, 180)]))
        box = cv2.boxPoints(((x, y), (2 * radius, 2 * radius * rng.uniform(0.15, 1)), turn))
        cv2.fillPoly(mask, [box.astype(np.int32)], 1)
    else:
        corners = int(rng.integers(3, 9))
        turn, reach = np.sort(rng.uniform(0, 2 * np.pi, corners)), radius * rng.uniform(0.4, 1.2, corners)
        outline = np.stack([x + reach * np.cos(turn), y + reach * np.sin(turn)], axis=1)
        cv2.fillPoly(mask, [outline.astype(np.int32)], 1)
    return mask


def word(rng: Generator) -> str:
    """Random letters."""
    return "".join(LETTERS[i] for i in rng.integers(0, len(LETTERS), rng.integers(2, 10)))


def page(rng: Generator, layout: Generator | None = None) -> Pixels:
    """Lines of text on a plain ground; `layout` decides size, letters and margins, `rng` the text."""
    layout = layout or rng
    width, height = int(layout.integers(380, 640)), int(layout.integers(500, 820))
    dark = layout.random() < 0.15
    ink = (230,) * 3 if dark else (int(layout.integers(0, 60)),) * 3
    image = np.full((height, width, 3), 20 if dark else 255, np.uint8)
    size = layout.uniform(0.3, 0.7)
    step, left = int(size * 40 * layout.uniform(0.9, 1.3)), int(layout.uniform(0.03, 0.12) * width)
    y, full_lines = int(layout.uniform(20, 70)), layout.random() < 0.5
    font = int(layout.choice([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX]))
    while y < height - 15:
        if full_lines or rng.random() >= 0.12:
            fill = 1 if full_lines or rng.random() < 0.8 else rng.uniform(0.3, 0.9)
            letters = int((width - 2 * left) / (size * 18) * fill)
            line = ""
            while len(line) < letters:
                line += word(rng) + " "
            cv2.putText(image, line[:letters], (left, y), font, size, ink, 1, cv2.LINE_AA)
        y += step
    return image


def shapes(rng: Generator) -> Pixels:
    """A gradient, or one to three plain shapes on white."""
    width, height = int(rng.integers(250, 600)), int(rng.integers(250, 600))
    if rng.random() < 0.3:
        turn = rng.uniform(0, 2 * np.pi)
        y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
        along = x * np.cos(turn) + y * np.sin(turn)
        along = (along - along.min()) / np.ptp(along)
        start, end = colour(rng), colour(rng)
        return _pixels(start + along[..., None] * (end - start))
    image = np.full((height, width, 3), 255, np.uint8)
    for _ in range(int(rng.integers(1, 4))):
        fill = tuple(int(value) for value in rng.integers(0, 256, 3))
        x, y = int(rng.uniform(0.2, 0.8) * width), int(rng.uniform(0.2, 0.8) * height)
        radius = int(rng.uniform(0.1, 0.3) * min(height, width))
        if rng.random() < 0.5:
            cv2.circle(image, (x, y), radius, fill, -1)
        else:
            half = int(radius * rng.uniform(0.3, 1))
            cv2.rectangle(image, (x - radius, y - half), (x + radius, y + half), fill, -1)
    return image


def framed(rng: Generator, inner: Pixels, layout: Generator | None = None) -> Pixels:
    """A picture in the window of a made-up application; `layout` decides the window, `rng` its text."""
    layout = layout or rng
    width, height = (400, 800) if layout.random() < 0.6 else (800, 520)
    image = np.full((height, width, 3), 25 if layout.random() < 0.4 else 248, np.uint8)
    bar = tuple(int(value) for value in layout.integers(0, 200, 3))
    cv2.rectangle(image, (0, 0), (width, int(layout.integers(15, 40))), bar, -1)
    room, high = layout.uniform(0.8, 1), layout.uniform(0.08, 0.15)
    for line in range(5):
        text, at = f"{word(rng)} {word(rng)} {word(rng)}", (15, int(height * 0.8) + 22 * line)
        cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (120,) * 3, 1, cv2.LINE_AA)
    scale = min(width * room / inner.shape[1], height * 0.6 / inner.shape[0])
    small = cv2.resize(inner, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    top, left = int(high * height), (width - small.shape[1]) // 2
    image[top : top + small.shape[0], left : left + small.shape[1]] = small
    return image
