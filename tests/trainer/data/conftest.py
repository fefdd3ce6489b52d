"""Small images and tars for the tests of the data path, generated anew each time."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ImageBytes = Callable[..., bytes]
WriteTar = Callable[[Path, Mapping[str, bytes]], Path]


@pytest.fixture
def pixels() -> Callable[..., np.ndarray]:
    """pixels(seed, height, width): a smooth coloured picture with some noise and saturated patches."""

    def make(seed: int = 0, height: int = 48, width: int = 64) -> np.ndarray:
        rng = np.random.default_rng(seed)
        coarse = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
        smooth = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC), dtype=np.int16)
        noisy = smooth + rng.integers(-12, 13, smooth.shape)
        noisy[: height // 4, : width // 4] = rng.choice([0, 255], 3)
        return np.clip(noisy, 0, 255).astype(np.uint8)

    return make


@pytest.fixture
def image_bytes(pixels: Callable[..., np.ndarray]) -> ImageBytes:
    """image_bytes(seed, kind="JPEG", height=48, width=64, **save options)."""

    def make(seed: int = 0, kind: str = "JPEG", height: int = 48, width: int = 64, **options: object) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(pixels(seed, height, width)).save(buffer, kind, **options)
        return buffer.getvalue()

    return make


@pytest.fixture
def write_tar() -> WriteTar:
    """write_tar(path, {member: bytes})."""

    def write(path: Path, members: Mapping[str, bytes]) -> Path:
        with tarfile.open(path, "w") as tar:
            for name, data in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        return path

    return write


@pytest.fixture
def image_folder(tmp_path: Path, image_bytes: ImageBytes) -> Path:
    """Two class folders with three images each."""
    root = tmp_path / "images"
    for number in range(6):
        file = root / ("cat" if number < 3 else "dog") / f"{number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(image_bytes(number))
    return root
