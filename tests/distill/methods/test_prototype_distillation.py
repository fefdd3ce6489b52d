"""Exact distillation against plain nested loops, and what must and must not move."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from distill.methods.prototype_distillation import PrototypeDistillation, PrototypeSettings
from distill.teachers.teacher import open_teacher
from trainer.data.batch import CropBatch
from trainer.engine.step import training_step
from trainer.methods.method import StepKnobs
from trainer.models.heads import HeadSettings
from trainer.models.vision_transformer import VitSettings
from trainer.optim.adamw import build_adamw

KNOBS = StepKnobs(lr=1e-2, weight_decay=0.01, teacher_momentum=0.5, teacher_temp=0.07, last_layer_lr=1e-2)
STUDENT = VitSettings(16, 2, 2, patch_size=4, image_size=16, layer_scale=1.0)
DINO = HeadSettings(prototypes=12, hidden_dim=8, bottleneck_dim=6, layers=2)
IBOT = HeadSettings(prototypes=10, hidden_dim=8, bottleneck_dim=5, layers=2)
SETTINGS = PrototypeSettings({"small": STUDENT}, DINO, IBOT)
Batches = Callable[..., CropBatch]


def build(folder: Path, **changes: object) -> PrototypeDistillation:
    torch.manual_seed(3)
    settings = replace(SETTINGS, **changes)  # type: ignore[arg-type]
    return PrototypeDistillation(settings, open_teacher(folder, torch.device("cpu"))).train()


def sinkhorn(logits: Tensor, temp: float) -> Tensor:
    """The published loop: rows to 1/K, columns to 1/B, three times."""
    q = torch.exp(logits.double() / temp).T
    K, B = q.shape
    q /= q.sum()
    for _ in range(3):
        q /= q.sum(1, keepdim=True) * K
        q /= q.sum(0, keepdim=True) * B
    return (q * B).T.float()


def cross_entropy(target: Tensor, logits: Tensor) -> Tensor:
    return -(target * torch.log_softmax(logits / 0.1, dim=-1)).sum()


def oracle(method: PrototypeDistillation, batch: CropBatch, subset: bool) -> dict[str, Tensor]:
    """Every pair and every patch in its own turn of a loop."""
    teacher, student = method.teacher, method.student
    assert teacher.dino_head is not None
    assert teacher.ibot_head is not None
    B, L = len(batch.keys), len(batch.local_crops) // len(batch.keys)
    with torch.no_grad():
        said = teacher.backbone(batch.global_crops)
        dino = sinkhorn(teacher.dino_head(said.cls), 0.07).view(2, B, -1)
        places = [(c, n) for c in range(2 * B) for n in range(16) if not subset or batch.masks[c, n]]
        ibot = sinkhorn(teacher.ibot_head(torch.stack([said.patches[c, n] for c, n in places])), 0.07)
    seen, near = student["backbone"](batch.global_crops), student["backbone"](batch.local_crops)
    global_logits = student["dino_head"](seen.cls).view(2, B, -1)
    local_logits = student["dino_head"](near.cls).view(L, B, -1)
    pairs = 2 + 2 * L
    local = sum(cross_entropy(dino[v, b], local_logits[c, b]) for c in range(L) for v in range(2) for b in range(B))
    across = sum(cross_entropy(dino[v, b], global_logits[1 - v, b]) for v in range(2) for b in range(B))
    per_crop = {c: sum(1 for crop, _ in places if crop == c) for c in range(2 * B)}
    patch = torch.zeros(())
    for row, (c, n) in enumerate(places):
        logits = student["ibot_head"](seen.patches[c, n][None])[0]
        patch = patch + cross_entropy(ibot[row], logits) / per_crop[c]
    spread = torch.zeros(())
    for view in seen.cls.chunk(2):
        unit = view / view.norm(dim=-1, keepdim=True)
        for i in range(B):
            j = max((j for j in range(B) if j != i), key=lambda j: (unit[i] @ unit[j]).item())
            spread = spread - torch.log((unit[i] - unit[j] + 1e-8).norm() + 1e-8) / B
    return {
        "dino_local": torch.as_tensor(local) / (B * pairs),
        "dino_global": torch.as_tensor(across) / (B * pairs),
        "koleo": 0.1 * spread,
        "ibot": patch / (2 * B),
    }


@pytest.mark.parametrize("tokens", ["all", "subset"])
def test_losses_and_gradients_equal_plain_loops(
    make_teacher: Callable[..., Path], make_batch: Batches, tokens: str
) -> None:
    method, batch = build(make_teacher(), ibot_tokens=tokens), make_batch()
    losses = method.losses(batch, KNOBS)
    wanted = oracle(method, batch, subset=tokens == "subset")
    for name, value in wanted.items():
        assert torch.allclose(losses.terms[name], value, rtol=1e-4, atol=1e-5), name
    losses.total.backward()
    ours = {name: p.grad.clone() for name, p in method.student.named_parameters() if p.grad is not None}
    method.zero_grad()
    torch.stack([*wanted.values()]).sum().backward()
    for name, parameter in method.student.named_parameters():
        if parameter.grad is not None:
            assert torch.allclose(ours[name], parameter.grad, rtol=1e-3, atol=1e-5), name
    assert "backbone.mask_token" not in ours


def test_masks_do_not_reach_the_student(make_teacher: Callable[..., Path], make_batch: Batches) -> None:
    method, batch = build(make_teacher()), make_batch()
    other = replace(batch, masks=~batch.masks)
    assert torch.equal(method.losses(batch, KNOBS).total, method.losses(other, KNOBS).total)


def test_global_crops_alone(make_teacher: Callable[..., Path], make_batch: Batches) -> None:
    losses = build(make_teacher()).losses(make_batch(local_crops=0), KNOBS)
    assert losses.terms["dino_local"] == 0
    assert losses.terms["dino_global"] > 0


def test_one_step_moves_student_and_average_but_never_the_teacher(
    make_teacher: Callable[..., Path], make_batch: Batches
) -> None:
    method = build(make_teacher())
    teacher = copy.deepcopy(method.teacher.backbone.state_dict())
    before = copy.deepcopy(method.student.state_dict())
    report = training_step(method, build_adamw(method.parameter_groups()), [make_batch()], KNOBS)
    assert set(report.clip_norms) == {"backbone", "dino_head", "ibot_head"}
    after, average = method.student.state_dict(), method.result().state_dict()
    assert all(torch.equal(value, teacher[name]) for name, value in method.teacher.backbone.state_dict().items())
    name = "backbone.blocks.0.mlp.fc1.weight"
    assert not torch.equal(after[name], before[name])
    assert torch.allclose(average[name], (before[name] + after[name]) / 2)
    assert not [key for key in method.state_dict() if "teacher" in key]
    assert all(not p.requires_grad and p.grad is None for p in method.result().parameters())


def test_the_average_never_enters_the_loss(make_teacher: Callable[..., Path], make_batch: Batches) -> None:
    method, batch = build(make_teacher()), make_batch()
    before = method.losses(batch, KNOBS).total
    with torch.no_grad():
        for parameter in method.result().parameters():
            parameter.add_(1.0)
    assert torch.equal(method.losses(batch, KNOBS).total, before)


def test_micro_batches_share_the_targets_of_the_whole_step(
    make_teacher: Callable[..., Path], make_batch: Batches
) -> None:
    """Two halves sum to the loss of one batch, KoLeo (neighbours inside a micro-batch) apart."""
    method, batch = build(make_teacher(), koleo_weight=0.0), make_batch(images=4)
    halves = []
    for half in range(2):
        rows = torch.tensor([4 * view + 2 * half + i for view in range(2) for i in range(2)])
        local = torch.tensor([4 * crop + 2 * half + i for crop in range(2) for i in range(2)])
        halves.append(
            replace(
                batch,
                global_crops=batch.global_crops[rows],
                local_crops=batch.local_crops[local],
                masks=batch.masks[rows],
                keys=batch.keys[2 * half : 2 * half + 2],
            )
        )
    parts = [losses.total for losses in method.micro_losses(halves, KNOBS)]
    assert len(parts) == 2
    assert torch.allclose(torch.stack(parts).sum(), method.losses(batch, KNOBS).total, rtol=1e-5)


def test_several_students_learn_as_if_alone_from_one_pass_of_the_teacher(
    make_teacher: Callable[..., Path], make_batch: Batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, batch = make_teacher(), make_batch()
    wide = VitSettings(32, 1, 2, patch_size=4, image_size=16, layer_scale=1.0)
    both = build(folder, backbones={"small": STUDENT, "wide": wide})
    alone = build(folder)
    alone.student.load_state_dict(both.several.of(both.student, "small").state_dict())
    calls = []
    tokens = both.teacher.tokens
    monkeypatch.setattr(both.teacher, "tokens", lambda images: calls.append(1) or tokens(images))
    together = both.losses(batch, KNOBS)
    assert len(calls) == 1
    single = alone.losses(batch, KNOBS)
    for name, value in single.terms.items():
        assert torch.allclose(together.terms[f"small/{name}"], value)
    assert together.terms["wide/ibot"] > 0
    assert set(both.several.of(both.result(), "wide")) == {"backbone", "dino_head", "ibot_head"}
    step = training_step(both, build_adamw(both.parameter_groups()), [batch], KNOBS)
    assert "wide:backbone" in step.clip_norms


def test_other_patch_sizes_get_the_same_grid(make_teacher: Callable[..., Path], make_batch: Batches) -> None:
    """A student of 8 px patches learns from a teacher of 4 px patches: crops of 32 px, both see 4 x 4 patches."""
    student = replace(STUDENT, patch_size=8, image_size=32)
    method = build(make_teacher(), backbones={"coarse": student})
    seen = []
    forward = method.teacher.backbone.forward
    method.teacher.backbone.forward = lambda images: seen.append(tuple(images.shape)) or forward(images)  # type: ignore[method-assign,assignment]
    losses = method.losses(make_batch(side=32), KNOBS)
    assert seen == [(6, 3, 16, 16)]
    assert losses.terms["ibot"] > 0


def test_diagnostics_only_where_asked(make_teacher: Callable[..., Path], make_batch: Batches) -> None:
    method, batch = build(make_teacher()), make_batch()
    assert not method.losses(batch, KNOBS).diagnostics
    found = method.losses(batch, replace(KNOBS, diagnose=True)).diagnostics
    assert 0 < float(found["dino_target_entropy"]) <= 1
    assert float(found["rank_me"]) >= 1
