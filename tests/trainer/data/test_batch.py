from __future__ import annotations

import dataclasses

import pytest
import torch

from trainer.data.batch import CropBatch


def batch() -> CropBatch:
    return CropBatch(
        torch.zeros(4, 3, 8, 8), torch.zeros(6, 3, 4, 4), torch.zeros(4, 4, dtype=torch.bool), ("a", "b"), 7
    )


def test_to_moves_every_tensor_and_keeps_the_rest() -> None:
    moved = batch().to("meta")
    assert {moved.global_crops.device.type, moved.local_crops.device.type, moved.masks.device.type} == {"meta"}
    assert (moved.keys, moved.position) == (("a", "b"), 7)


def test_a_batch_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        batch().position = 1  # type: ignore[misc]
