"""The DINO loss is the mean over all pairs of different views."""

from __future__ import annotations

import pytest
import torch

from trainer.losses.dino_loss import DinoBatch, dino_global_loss, dino_local_loss
from trainer.losses.teacher_targets import dense_rows


@pytest.mark.parametrize(("local_crops", "step_images"), [(4, 3), (0, 3), (2, 12)])
def test_equals_the_loop_over_pairs(local_crops: int, step_images: int) -> None:
    B, H, K = 3, 5, 7
    generator = torch.Generator().manual_seed(0)
    student = torch.randn(2 + local_crops, B, H, generator=generator)
    prototypes = torch.randn(K, H, generator=generator)
    teacher = torch.softmax(torch.randn(2, B, K, generator=generator), dim=-1)

    total, pairs = 0.0, 0
    for s in range(2 + local_crops):
        for t in range(2):
            if s != t:
                log_p = torch.log_softmax(student[s] @ prototypes.T / 0.1, dim=-1)
                total -= (teacher[t] * log_p).sum().item() / step_images
                pairs += 1
    batch, targets = DinoBatch(B, step_images, local_crops), dense_rows(teacher.flatten(0, 1))
    assert batch.pairs == pairs
    ours = dino_global_loss(student[:2].flatten(0, 1), prototypes, targets, batch)
    ours = ours + dino_local_loss(student[2:].flatten(0, 1), prototypes, targets, batch)
    assert ours.item() == pytest.approx(total / pairs, rel=1e-5)
