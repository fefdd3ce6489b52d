"""The moving average."""

from __future__ import annotations

import copy

import torch
from torch import nn

from trainer.optim.ema import update_ema


def test_parameters_move_and_buffers_stay() -> None:
    model = nn.BatchNorm1d(3)
    average = copy.deepcopy(model)
    with torch.no_grad():
        model.weight.fill_(2.0)
        assert model.running_mean is not None
        model.running_mean.fill_(5.0)
    update_ema(average, model, momentum=0.9)
    torch.testing.assert_close(average.weight.data, torch.full((3,), 1.1))
    assert average.running_mean is not None
    assert average.running_mean.abs().max() == 0


def test_momentum_one_freezes_the_average() -> None:
    model, average = nn.Linear(3, 3), nn.Linear(3, 3)
    before = average.weight.detach().clone()
    update_ema(average, model, momentum=1.0)
    assert torch.equal(average.weight, before)
