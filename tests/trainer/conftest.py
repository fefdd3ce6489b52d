"""Small labelled images, generated: plain shapes on noise, one folder per class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def labelled_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of 12 images of 24 x 24 px: a bright bar that lies or stands."""
    root = tmp_path_factory.mktemp("labelled")
    rng = np.random.default_rng(0)
    for name in ("lying", "standing"):
        (root / name).mkdir()
        for number in range(12):
            pixels = rng.integers(0, 120, (24, 24, 3), dtype=np.uint8)
            start = int(rng.integers(2, 18))
            pixels[start : start + 4] = 230
            image = Image.fromarray(pixels if name == "lying" else pixels.transpose(1, 0, 2))
            image.save(root / name / f"{number}.png")
    return root


TINY_MODEL = (
    "model.arch=vitn4",
    "crops.global_px=16",
    "crops.local_px=8",
    "crops.local_crops=2",
    "heads.dino.prototypes=16",
    "heads.dino.hidden_dim=16",
    "heads.dino.bottleneck_dim=8",
    "heads.ibot.prototypes=16",
    "heads.ibot.hidden_dim=16",
    "heads.ibot.bottleneck_dim=8",
    "run.batch_size=4",
    "run.log_every_steps=1",
    "run.device=cpu",
    "data.workers=0",
    "pictures.every_steps=0",
)


@pytest.fixture(scope="session")
def tiny_settings() -> list[str]:
    """Overrides that turn the cpu preset into a run of milliseconds per step."""
    return list(TINY_MODEL)
