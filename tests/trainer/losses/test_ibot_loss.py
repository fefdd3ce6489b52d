"""Chosen patches and their weights."""

from __future__ import annotations

import torch

from trainer.losses.ibot_loss import all_patches, ibot_loss, masked_patches
from trainer.losses.teacher_targets import dense_rows

MASKS = torch.tensor([[True, False, True, True], [False] * 4, [False, True, False, False]])


def test_each_masked_crop_weighs_one() -> None:
    choice = masked_patches(MASKS)
    assert choice.indices.tolist() == [0, 2, 3, 9]
    torch.testing.assert_close(choice.weights, torch.tensor([1 / 3, 1 / 3, 1 / 3, 1.0]))
    patches = torch.arange(12.0).view(3, 4, 1)
    assert choice.of(patches).flatten().tolist() == [0, 2, 3, 9]


def test_all_patches_of_every_crop() -> None:
    choice = all_patches(3, 4, torch.device("cpu"))
    assert choice.indices.tolist() == list(range(12))
    assert choice.weights.sum().item() == 3.0


def test_the_divisor_counts_unmasked_crops_too() -> None:
    choice = masked_patches(MASKS)
    student, prototypes = torch.randn(4, 5), torch.randn(6, 5)
    targets = torch.softmax(torch.randn(4, 6), dim=-1)
    per_patch = -(targets * torch.log_softmax(student @ prototypes.T / 0.1, dim=-1)).sum(-1)
    expected = (per_patch[:3].mean() + per_patch[3]) / 3
    torch.testing.assert_close(ibot_loss(student, prototypes, dense_rows(targets), choice.weights, 3), expected)


def test_a_batch_without_masks_costs_nothing() -> None:
    choice = masked_patches(torch.zeros(2, 4, dtype=torch.bool))
    chosen = choice.of(torch.randn(2, 4, 5, requires_grad=True))
    loss = ibot_loss(chosen, torch.randn(6, 5), dense_rows(torch.empty(0, 6)), choice.weights, 2)
    assert loss.item() == 0.0
    loss.backward()
