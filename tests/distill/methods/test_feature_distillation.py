"""Headless distillation: losses against plain loops, different patch sizes and widths, learning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn.functional import mse_loss

from contracts.errors import ConfigError
from distill.losses.feature_losses import FEATURE_LOSSES
from distill.methods.feature_distillation import FeatureDistillation, FeatureSettings
from distill.teachers.teacher import open_teacher
from trainer.data.batch import CropBatch
from trainer.engine.step import training_step
from trainer.methods.method import StepKnobs
from trainer.models.vision_transformer import VitSettings
from trainer.optim.adamw import build_adamw

KNOBS = StepKnobs(lr=3e-3, weight_decay=0.0, teacher_momentum=0.9, teacher_temp=0.07, last_layer_lr=3e-3)
STUDENT = VitSettings(16, 2, 2, patch_size=4, image_size=16, layer_scale=1.0)
Batches = Callable[..., CropBatch]


def build(folder: Path, **changes: object) -> FeatureDistillation:
    torch.manual_seed(5)
    settings = replace(FeatureSettings({"small": STUDENT}), **changes)  # type: ignore[arg-type]
    return FeatureDistillation(settings, open_teacher(folder, torch.device("cpu"))).train()


@pytest.mark.parametrize("loss", sorted(FEATURE_LOSSES))
def test_losses_equal_plain_loops(make_teacher: Callable[..., Path], make_batch: Batches, loss: str) -> None:
    method = build(make_teacher(heads=""), cls_loss=loss, patch_loss=loss, cls_weight=0.5)
    batch = make_batch()
    losses = method.losses(batch, KNOBS)

    def one(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        if loss == "cosine":
            return 1 - (student @ teacher) / (student.norm() * teacher.norm())
        centred = teacher - teacher.mean()
        wanted = centred / (centred.pow(2).mean() + 1e-5).sqrt()
        error = (student - wanted).abs()
        return (torch.where(error < 1, error.pow(2) / 2, error - 0.5) if loss == "smooth_l1" else error.pow(2)).mean()

    with torch.no_grad():
        said = method.teacher.backbone(batch.global_crops)
    seen = method.student["backbone"](batch.global_crops)
    near = method.student["backbone"](batch.local_crops)
    to_cls, to_patch = method.student["cls_projection"], method.student["patch_projection"]
    cls = torch.stack([one(to_cls(seen.cls[c]), said.cls[c]) for c in range(6)]).mean()
    places = [(c, n) for c in range(6) for n in range(16)]
    patch = torch.stack([one(to_patch(seen.patches[c, n]), said.patches[c, n]) for c, n in places]).mean()
    both_views = [(said.cls[b] + said.cls[3 + b]) / 2 for b in range(3)]
    local = torch.stack([one(to_cls(near.cls[3 * v + b]), both_views[b]) for v in range(2) for b in range(3)]).mean()
    assert torch.allclose(losses.terms["cls"], 0.5 * cls, rtol=1e-4)
    assert torch.allclose(losses.terms["patch"], patch, rtol=1e-4)
    assert torch.allclose(losses.terms["local_cls"], 0.5 * local, rtol=1e-4)


def test_a_student_learns_a_teacher_of_other_width_and_patch_size(
    make_teacher: Callable[..., Path], make_batch: Batches
) -> None:
    student = VitSettings(32, 2, 2, patch_size=8, image_size=32, layer_scale=1.0)
    method = build(make_teacher(heads=""), backbones={"coarse": student})
    optimizer = build_adamw(method.parameter_groups())
    batch = make_batch(local_crops=0, side=32)
    totals = [training_step(method, optimizer, [batch], KNOBS).total for _ in range(30)]
    assert totals[-1] < 0.75 * totals[0]


def test_micro_batches_sum_to_the_whole(make_teacher: Callable[..., Path], make_batch: Batches) -> None:
    method, batch = build(make_teacher(heads="")), make_batch()
    total = method.losses(batch, KNOBS).total
    parts = [losses.total for losses in method.micro_losses([batch, batch], KNOBS)]
    assert torch.allclose(torch.stack(parts).sum(), total)


def test_relations_alone_need_no_projection(make_teacher: Callable[..., Path], make_batch: Batches) -> None:
    relations = {"patch_similarity": 2.0, "batch_distance": 0.5}
    method = build(make_teacher(heads=""), cls_weight=0.0, patch_weight=0.0, relations=relations)
    losses = method.losses(make_batch(), KNOBS)
    assert set(losses.terms) == set(relations)
    losses.total.backward()
    assert all(p.grad is None for p in method.student["cls_projection"].parameters())
    half = build(make_teacher(heads=""), relations={"patch_similarity": 1.0}).losses(make_batch(), KNOBS)
    assert torch.allclose(losses.terms["patch_similarity"], 2 * half.terms["patch_similarity"])
    assert set(half.terms) == {"cls", "patch", "local_cls", "patch_similarity"}


def test_unknown_loss_is_told(make_teacher: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError, match="did you mean 'cosine'"):
        build(make_teacher(heads=""), cls_loss="cosin")


def test_standardised_targets_ignore_scale_and_shift() -> None:
    student, teacher = torch.randn(5, 8), torch.randn(5, 8)
    for name in ("mse", "smooth_l1"):
        loss = FEATURE_LOSSES[name]
        assert torch.allclose(loss(student, teacher), loss(student, 7 * teacher + 2), atol=1e-4)
    assert torch.allclose(FEATURE_LOSSES["cosine"](student, 3 * student), torch.zeros(()), atol=1e-6)
    assert float(mse_loss(student, teacher)) > 0
