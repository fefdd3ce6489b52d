"""Each module is clipped by its own norm."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from trainer.optim.clipping import clip_gradients, gradient_norms


def test_norms_and_clipping_per_module() -> None:
    modules = nn.ModuleDict({"large": nn.Linear(2, 1, bias=False), "small": nn.Linear(2, 1), "unused": nn.Linear(1, 1)})
    modules["large"].weight.grad = torch.tensor([[3.0, 4.0]])
    modules["small"].weight.grad = torch.tensor([[0.6, 0.0]])
    modules["small"].bias.grad = torch.tensor([0.8])
    norms = {name: norm.item() for name, norm in gradient_norms(modules).items()}
    assert norms == pytest.approx({"large": 5, "small": 1, "unused": 0})
    clip_gradients(modules, norms, max_norm=2.5)
    torch.testing.assert_close(modules["large"].weight.grad, torch.tensor([[1.5, 2.0]]))
    torch.testing.assert_close(modules["small"].weight.grad, torch.tensor([[0.6, 0.0]]))
