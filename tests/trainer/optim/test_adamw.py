"""Knobs reach the groups, and the update is AdamW's."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from trainer.optim.adamw import apply_knobs, build_adamw
from trainer.optim.knobs import StepKnobs

KNOBS = StepKnobs(lr=0.1, weight_decay=0.5, teacher_momentum=0.9, teacher_temp=0.04, last_layer_lr=0.0)


def test_two_updates_by_hand() -> None:
    parameter = nn.Parameter(torch.tensor([1.0, -2.0]))
    frozen = nn.Parameter(torch.tensor([3.0]))
    optimizer = build_adamw(
        [
            {"params": [parameter], "lr_multiplier": 0.5, "wd_multiplier": 1.0, "is_last_layer": False},
            {"params": [frozen], "lr_multiplier": 1.0, "wd_multiplier": 1.0, "is_last_layer": True},
        ]
    )
    expected, m, v = torch.tensor([1.0, -2.0]), torch.zeros(2), torch.zeros(2)
    for step, gradient in enumerate((torch.tensor([0.3, -1.0]), torch.tensor([0.1, 2.0])), start=1):
        parameter.grad, frozen.grad = gradient.clone(), torch.ones(1)
        apply_knobs(optimizer, KNOBS)
        optimizer.step()
        expected *= 1 - 0.05 * 0.5
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        expected -= 0.05 * (m / (1 - 0.9**step)) / ((v / (1 - 0.999**step)).sqrt() + 1e-8)
        torch.testing.assert_close(parameter.data, expected)
    assert frozen.item() == pytest.approx(3.0)
    assert optimizer.state[frozen]["exp_avg"].item() > 0.1
