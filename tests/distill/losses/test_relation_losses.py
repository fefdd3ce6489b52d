"""Relation losses against plain loops; none of them sees width, rotation or (where it should not) scale."""

from __future__ import annotations

import math

import pytest
import torch

from contracts.errors import ConfigError
from distill.losses.relation_losses import RELATION_LOSSES, relation_loss
from distill.teachers.teacher import TeacherTokens


def tokens(width: int, seed: int) -> TeacherTokens:
    generator = torch.Generator().manual_seed(seed)
    return TeacherTokens(torch.randn(4, width, generator=generator), torch.randn(4, 5, width, generator=generator))


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(a @ b / (a.norm() * b.norm()))


def divergence(student: torch.Tensor, teacher: torch.Tensor) -> float:
    total = 0.0
    for i in range(len(student)):
        others = [j for j in range(len(student)) if j != i]
        ours, theirs = ([math.exp(cosine(rows[i], rows[j]) / 0.07) for j in others] for rows in (student, teacher))
        for q, p in zip(ours, theirs, strict=True):
            total += p / sum(theirs) * math.log((p / sum(theirs)) / (q / sum(ours)))
    return total / len(student)


def oracle(name: str, student: TeacherTokens, teacher: TeacherTokens) -> float:
    if name == "batch_similarity":
        return divergence(student.cls, teacher.cls)
    if name == "patch_similarity":
        return sum(divergence(s, t) for s, t in zip(student.patches, teacher.patches, strict=True)) / 4
    if name == "patch_gram":
        squares = [
            (cosine(s[i], s[j]) - cosine(t[i], t[j])) ** 2
            for s, t in zip(student.patches, teacher.patches, strict=True)
            for i in range(5)
            for j in range(5)
        ]
        return sum(squares) / len(squares)
    pairs = [(i, j) for i in range(4) for j in range(i + 1, 4)]
    ours, theirs = ([float((rows[i] - rows[j]).norm()) for i, j in pairs] for rows in (student.cls, teacher.cls))
    total = 0.0
    for a, b in zip(ours, theirs, strict=True):
        error = abs(a / (sum(ours) / 6) - b / (sum(theirs) / 6))
        total += error**2 / 2 if error < 1 else error - 0.5
    return total / 6


@pytest.mark.parametrize("name", sorted(RELATION_LOSSES))
def test_losses_equal_plain_loops_for_any_two_widths(name: str) -> None:
    student, teacher = tokens(6, 0), tokens(9, 1)
    found = RELATION_LOSSES[name](student, teacher)
    assert float(found) == pytest.approx(oracle(name, student, teacher), rel=1e-4)
    assert float(found) > 0


@pytest.mark.parametrize("name", sorted(RELATION_LOSSES))
def test_a_turned_and_scaled_copy_is_perfect_and_gradients_are_finite(name: str) -> None:
    teacher = tokens(8, 1)
    turn = 2.5 * torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(2)))[0]
    copy = TeacherTokens((teacher.cls @ turn).requires_grad_(), (teacher.patches @ turn).requires_grad_())
    loss = RELATION_LOSSES[name](copy, teacher)
    assert loss.item() < 1e-5
    loss.backward()
    grads = [value.grad for value in (copy.cls, copy.patches) if value.grad is not None]
    assert grads
    assert all(grad.isfinite().all() for grad in grads)


def test_an_unknown_relation_is_told() -> None:
    with pytest.raises(ConfigError, match="did you mean 'patch_gram'"):
        relation_loss("patch_gramm")
