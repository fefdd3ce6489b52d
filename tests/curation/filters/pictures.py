"""Generated pictures with a known fault each, for tests of the filters."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


def sharp(seed: int, width: int = 160, height: int = 120) -> Pixels:
    """Structure at several scales."""
    rng = np.random.default_rng(seed)
    image = np.full((height, width, 3), 128, np.float32)
    for cells in (3, 8, 40):
        noise = rng.standard_normal((cells, cells, 3)).astype(np.float32)
        image += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC) * 25
    return image.clip(0, 255).astype(np.uint8)


def blurred(seed: int) -> Pixels:
    """The same without fine structure, with its contrast."""
    soft = cv2.GaussianBlur(sharp(seed), (0, 0), 9).astype(np.float32)
    stretched = (soft - soft.min()) * (255 / (soft.max() - soft.min()))
    return stretched.astype(np.uint8)


def marked_page() -> Pixels:
    """A white page with a small black mark: sharp, but nothing on it."""
    page = np.full((120, 160, 3), 255, np.uint8)
    page[50:58, 60:72] = 0
    return page


FAULTS = {"blurred": blurred(1), "page": marked_page(), "tiny": sharp(2, 40, 50), "long": sharp(3, 500, 100)}
FAILS = {
    "blurred": {"blur"},
    "page": {"dominant_share", "entropy"},
    "tiny": {"short_side_px"},
    "long": {"aspect_ratio"},
}


def write_pool(folder: Path, good: int = 6) -> Path:
    """Good pictures 0.png ... and one file per fault."""
    folder.mkdir(parents=True)
    for number in range(good):
        Image.fromarray(sharp(100 + number)).save(folder / f"{number}.png")
    for name, pixels in FAULTS.items():
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return folder
