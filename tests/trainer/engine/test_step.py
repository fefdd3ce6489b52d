"""One optimiser step: what it changes, and what it leaves alone when something is not finite."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import nn

from trainer.data.batch import CropBatch
from trainer.engine.step import training_step
from trainer.methods.method import LossTerms, Method
from trainer.optim.adamw import build_adamw
from trainer.optim.knobs import StepKnobs

KNOBS = StepKnobs(lr=0.1, weight_decay=0.0, teacher_momentum=0.5, teacher_temp=0.04, last_layer_lr=0.1)


class Regression(Method):
    """A ten-line method: two linear maps of the mean pixel, pulled towards 1; counts its steps."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.student = nn.ModuleDict({"backbone": nn.Linear(1, 1), "dino_head": nn.Linear(1, 1)})
        self.steps = 0

    def losses(self, batch: CropBatch, knobs: StepKnobs) -> LossTerms:
        hidden = self.student["backbone"](batch.global_crops.mean((1, 2, 3))[:, None])
        terms = {"near": hidden.square().mean(), "far": (self.student["dino_head"](hidden) - 1).square().mean()}
        total = torch.stack([*terms.values()]).sum()
        detached = {name: value.detach() for name, value in terms.items()}
        return LossTerms(total, detached, detached, {"mean": hidden.detach().mean()})

    def parameter_groups(self) -> list[dict[str, Any]]:
        rates = {"lr_multiplier": 1.0, "wd_multiplier": 1.0, "is_last_layer": False}
        return [{"params": list(self.student.parameters()), **rates}]

    def after_step(self, knobs: StepKnobs) -> None:
        self.steps += 1

    def result(self) -> nn.ModuleDict:
        return self.student


class BrokenGradient(Regression):
    """Finite losses with an infinite gradient in one module."""

    def micro_losses(self, batches: Sequence[CropBatch], knobs: StepKnobs) -> Iterator[LossTerms]:
        for losses in super().micro_losses(batches, knobs):
            root = (self.student["dino_head"].weight.sum() * 0).clamp_min(0).sqrt()
            losses.total = losses.total + root
            yield losses


def batch(value: float, images: int = 2) -> CropBatch:
    crops = torch.full((2 * images, 3, 4, 4), value)
    crops[0] *= 3
    return CropBatch(crops, torch.empty(0, 3, 2, 2), torch.zeros(2 * images, 1, dtype=torch.bool), (), 0)


def snapshot(method: Method, optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    moments = [v for state in optimizer.state.values() for v in state.values()]
    return [value.detach().clone() for value in [*method.parameters(), *moments]]


def test_a_step_reports_and_lowers_the_loss() -> None:
    method = Regression()
    optimizer = build_adamw(method.parameter_groups())
    reports = [training_step(method, optimizer, [batch(1.0)], KNOBS, clip_norm=1.0) for _ in range(30)]
    assert reports[-1].total < 0.5 * reports[0].total
    assert reports[0].total == pytest.approx(sum(reports[0].terms.values()))
    assert set(reports[0].clip_norms) == {"backbone", "dino_head"}
    assert method.steps == 30


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_changes_nothing(bad: float) -> None:
    method = Regression()
    optimizer = build_adamw(method.parameter_groups())
    training_step(method, optimizer, [batch(1.0)], KNOBS)
    before = snapshot(method, optimizer)
    report = training_step(method, optimizer, [batch(1.0), batch(bad)], KNOBS)
    assert report.skipped
    assert report.reason.startswith("loss term near is")
    assert method.steps == 1
    for ours, theirs in zip(before, snapshot(method, optimizer), strict=True):
        assert torch.equal(ours, theirs)
    assert all(p.grad is None for p in method.parameters())


def test_a_gradient_that_is_not_finite_is_named() -> None:
    method = BrokenGradient()
    optimizer = build_adamw(method.parameter_groups())
    before = snapshot(method, optimizer)
    report = training_step(method, optimizer, [batch(1.0)], KNOBS)
    assert report.skipped
    assert report.reason.startswith("gradient of dino_head is")
    for ours, theirs in zip(before, snapshot(method, optimizer), strict=True):
        assert torch.equal(ours, theirs)


def test_micro_batches_take_one_step_of_their_mean() -> None:
    one, two = Regression(), Regression()
    whole = batch(1.0, images=4)
    halves = [CropBatch(crops, whole.local_crops, whole.masks[:4], (), 0) for crops in whole.global_crops.split([4, 4])]
    first = training_step(one, build_adamw(one.parameter_groups()), [whole], KNOBS)
    second = training_step(two, build_adamw(two.parameter_groups()), halves, KNOBS)
    assert first.total == pytest.approx(second.total, rel=1e-6)
    assert first.diagnostics == pytest.approx(second.diagnostics)
    assert two.steps == 1
    for ours, theirs in zip(one.parameters(), two.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_clipping_limits_each_module_and_can_be_left_out() -> None:
    def gradients(clip_norm: float | None) -> list[float]:
        method = Regression()
        training_step(method, build_adamw(method.parameter_groups()), [batch(50.0)], KNOBS, clip_norm)
        return [
            torch.cat([p.grad.flatten() for p in module.parameters() if p.grad is not None]).norm().item()
            for module in method.student.values()
        ]

    assert gradients(0.01) == pytest.approx([0.01, 0.01], rel=1e-3)
    assert min(gradients(None)) > 0.1


def test_autocast_lowers_the_products_and_not_the_weights() -> None:
    method = Regression()
    optimizer = build_adamw(method.parameter_groups())
    full = Regression()
    low = training_step(method, optimizer, [batch(1.0)], KNOBS, autocast_dtype=torch.bfloat16)
    high = training_step(full, build_adamw(full.parameter_groups()), [batch(1.0)], KNOBS)
    assert low.total == pytest.approx(high.total, rel=0.02)
    assert low.total != high.total
    assert {p.dtype for p in method.parameters()} == {torch.float32}
