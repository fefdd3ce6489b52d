"""Crop sets: an image's crops come back after so many epochs, and are named; without sets every epoch has new ones."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from trainer.data.augment.settings import AugmentationSettings
from trainer.data.loader import LoaderSettings, build_loader
from trainer.data.open_source import open_source

Crops = dict[tuple[str, int], torch.Tensor]


def epochs(tmp_path: Path, crop_sets: int, count: int) -> list[Crops]:
    """Per epoch of 4 images in 2 batches: global crops by (key, crop number)."""
    rng = np.random.default_rng(0)
    for i in range(4):
        Image.fromarray(rng.integers(0, 255, (24, 24, 3), dtype=np.uint8)).save(tmp_path / f"{i}.png")
    augmentation = AugmentationSettings(global_px=8, local_px=8, local_crops=1)
    settings = LoaderSettings(batch_size=2, patch_px=4, augmentation=augmentation, seed=3, crop_sets=crop_sets)
    found: list[Crops] = []
    for batch in islice(build_loader(open_source(tmp_path), settings), 2 * count):
        if batch.position % 2 == 0:
            found.append({})
        for row, name in enumerate(zip(batch.keys, batch.crop_numbers, strict=True)):
            found[-1][name] = batch.global_crops[[row, 2 + row]]
    return found


def test_sets_take_turns_and_come_back(tmp_path: Path) -> None:
    first, second, third, fourth = epochs(tmp_path, crop_sets=2, count=4)
    assert first.keys() == third.keys()
    assert second.keys() == fourth.keys()
    assert not first.keys() & second.keys()
    assert all(torch.equal(first[name], third[name]) for name in first)
    assert all(torch.equal(second[name], fourth[name]) for name in second)
    keys = {key: crops for (key, _), crops in second.items()}
    assert not any(torch.equal(crops, keys[key]) for (key, _), crops in first.items())


def test_without_sets_every_epoch_has_new_crops(tmp_path: Path) -> None:
    first, second = epochs(tmp_path, crop_sets=0, count=2)
    assert sorted(number for _, number in first) == [0, 1, 2, 3]
    assert sorted(number for _, number in second) == [4, 5, 6, 7]
