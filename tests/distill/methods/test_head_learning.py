"""Heads for a headless teacher: losses against plain loops, mirrored patches in place, prototypes that divide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from distill.methods.head_learning import HeadLearning, HeadLearningSettings
from distill.teachers.teacher import open_teacher
from trainer.data.batch import CropBatch
from trainer.engine.step import training_step
from trainer.losses.sinkhorn_knopp import sinkhorn_knopp
from trainer.methods.method import StepKnobs
from trainer.models.heads import HeadSettings
from trainer.optim.adamw import build_adamw

KNOBS = StepKnobs(lr=2e-3, weight_decay=0.0, teacher_momentum=0.9, teacher_temp=0.06, last_layer_lr=2e-3)
DINO = HeadSettings(prototypes=12, hidden_dim=8, bottleneck_dim=6, layers=2)
IBOT = HeadSettings(prototypes=10, hidden_dim=8, bottleneck_dim=5, layers=2)
Batches = Callable[..., CropBatch]


def build(folder: Path, **changes: object) -> HeadLearning:
    torch.manual_seed(3)
    settings = replace(HeadLearningSettings(DINO, IBOT, reference_patch=4), **changes)  # type: ignore[arg-type]
    method = HeadLearning(settings, open_teacher(folder, torch.device("cpu"))).train()
    with torch.no_grad():
        for parameter in method.student.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return method


def cross_entropy(target: Tensor, logits: Tensor) -> Tensor:
    return -(target * torch.log_softmax(logits / 0.1, dim=-1)).sum()


def test_losses_equal_plain_loops(make_teacher: Callable[..., Path], make_batch: Batches) -> None:
    method, batch = build(make_teacher(heads="")), make_batch()
    losses = method.losses(batch, KNOBS)
    crops, backbone = batch.global_crops, method.teacher.backbone
    with torch.no_grad():
        seen, mirrored = backbone(crops), backbone(torch.flip(crops, dims=[3])).patches
        dino = sinkhorn_knopp(method.average["dino_head"](seen.cls), 0.06)
        ibot = sinkhorn_knopp(method.average["ibot_head"](seen.patches.reshape(96, -1)), 0.06)
    across = torch.zeros(())
    for view in range(2):
        for image in range(3):
            logits = method.student["dino_head"](seen.cls[3 * (1 - view) + image][None])[0]
            across = across + cross_entropy(dino[3 * view + image], logits) / 6
    patch = torch.zeros(())
    for crop in range(6):
        for row in range(4):
            for column in range(4):
                token = mirrored[crop, 4 * row + (3 - column)]
                target = ibot[16 * crop + 4 * row + column]
                patch = patch + cross_entropy(target, method.student["ibot_head"](token[None])[0]) / (6 * 16)
    assert torch.allclose(losses.terms["dino_global"], across, rtol=1e-4)
    assert torch.allclose(losses.terms["ibot"], patch, rtol=1e-4)
    assert torch.allclose(losses.total, across + patch, rtol=1e-4)


def test_only_heads_learn_and_the_loss_falls(make_teacher: Callable[..., Path], make_batch: Batches) -> None:
    method = build(make_teacher(heads=""))
    before = {name: value.clone() for name, value in method.teacher.backbone.state_dict().items()}
    optimizer = build_adamw(method.parameter_groups())
    noise = make_batch(images=6)
    first, second = noise.global_crops.chunk(2)
    batch = replace(noise, global_crops=torch.cat([first, first + 0.1 * second]))
    fast = replace(KNOBS, lr=1e-2, last_layer_lr=1e-2, teacher_temp=0.05)
    reports = [training_step(method, optimizer, [batch], fast) for _ in range(150)]
    assert set(reports[0].clip_norms) == {"dino_head", "ibot_head"}
    assert reports[-1].total < 0.8 * reports[0].total
    assert all(torch.equal(value, before[name]) for name, value in method.teacher.backbone.state_dict().items())
    favourites = method.result()["dino_head"](method.teacher.tokens(batch.global_crops).cls).argmax(-1)
    assert len(favourites.unique()) > 3
    assert (favourites[:6] == favourites[6:]).float().mean() > 0.6


def test_a_shared_head_serves_both(make_teacher: Callable[..., Path], make_batch: Batches) -> None:
    method = build(make_teacher(heads=""), ibot_head=None)
    assert set(method.result()) == {"dino_head"}
    losses = method.losses(make_batch(), replace(KNOBS, diagnose=True))
    assert losses.terms["ibot"] > 0
    assert 0 < float(losses.diagnostics["ibot_target_entropy"]) <= 1
