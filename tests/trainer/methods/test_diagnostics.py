"""Diagnostics tell a healthy batch from a collapsed one."""

from __future__ import annotations

import pytest
import torch

from trainer.losses.teacher_targets import dense_rows
from trainer.methods.diagnostics import agreement, rank_me, target_statistics


def test_entropy_and_usage_of_targets() -> None:
    uniform = target_statistics("dino", dense_rows(torch.full((8, 4), 0.25)), 8)
    assert uniform["dino_target_entropy"].item() == pytest.approx(1.0)
    spread = target_statistics("dino", dense_rows(torch.eye(4)), 4)
    assert (spread["dino_target_entropy"].item(), spread["dino_prototype_usage"].item()) == (0.0, 1.0)
    collapsed = target_statistics("dino", dense_rows(torch.eye(4)[[2] * 8]), 8)
    assert collapsed["dino_prototype_usage"].item() == 0.25
    assert target_statistics("ibot", dense_rows(torch.empty(0, 4)), 0) == {}


def test_agreement_counts_common_favourites() -> None:
    prototypes = torch.eye(4)
    targets = dense_rows(torch.eye(4)[[0, 1, 2, 3]])
    assert agreement(torch.eye(4)[[0, 1, 2, 0]], prototypes, targets).item() == 0.75


def test_rank_of_features() -> None:
    generator = torch.Generator().manual_seed(0)
    full = torch.randn(200, 16, generator=generator)
    line = torch.randn(200, 1, generator=generator) * torch.randn(1, 16, generator=generator)
    assert rank_me(full).item() > 14
    assert rank_me(line).item() == pytest.approx(1.0, abs=0.01)
    assert rank_me(torch.ones(10, 16)).item() < 1.1
