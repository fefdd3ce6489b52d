"""What a run tells of its health, each number from its definition in float64 on the tokens of the plain step.

RankMe (arXiv 2210.02885, eq. 1-2): exp of the entropy of singular values over their L1 norm, plus 1e-7.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from tests.parity.plain_step import PlainBatch, PlainStep
from tests.parity.plain_vit import below, head
from tests.parity.test_plain_step import Variant, one_batch, scatter, step_knobs
from torch import Tensor

VARIANTS = [
    Variant("Sinkhorn-Knopp", {"drop_path_rate": 0.3}),
    Variant("shared head, centering, registers", {"registers": 2}, {"centering": "centering"}, shared=True),
    Variant("other weights, one image", {}, {"dino_weight": 0.5, "ibot_weight": 3.0}, images=1),
    Variant("no local crops", {}, {"centering": "centering"}, views=0),
    Variant("micro-batches", {}, {"centering": "centering"}, views=1, images=2, micro_batches=2),
]


def entropy(rows: Tensor) -> float:
    """Mean entropy of rows, over that of equal shares."""
    return float(-(rows * rows.log()).sum(1).mean()) / math.log(rows.shape[1])


def in_use(rows: Tensor) -> float:
    """Different favourites over the most there could be."""
    return len(set(rows.argmax(1).tolist())) / min(rows.shape)


def rank_me(features: Tensor) -> float:
    """Eigenvalues of the Gram matrix are the squares of the singular values."""
    singular = torch.linalg.eigvalsh(features @ features.T).clamp(min=0).sqrt()
    shares = (singular / singular.sum() + 1e-7)[-min(features.shape) :]
    return math.exp(-sum(share * math.log(share) for share in shares.tolist()))


def mean_cosine(features: Tensor) -> float:
    """Of all pairs of different rows."""
    pairs = [(a, b) for a in range(len(features)) for b in range(len(features)) if a != b]
    return sum(float(torch.cosine_similarity(features[a], features[b], dim=0)) for a, b in pairs) / len(pairs)


@torch.no_grad()
def plain_diagnostics(plain: PlainStep, batches: Sequence[PlainBatch], temperature: float) -> dict[str, float]:
    """Means over micro-batches."""
    found: dict[str, float] = {}
    for batch, image, patch in zip(batches, *plain._targets(batches, temperature), strict=True):
        backbone = below(plain.student, "backbone")
        tokens = plain.vit(backbone, batch.global_crops, batch.masks, batch.kept[0], batch.coordinates[0])
        cls, masked = tokens[:, 0], tokens[:, plain.first :][batch.masks]
        logs = plain._logs("dino_head", cls)
        terms = plain._image_terms(batch, tokens, image)
        views = len(batch.local_crops) // len(cls.chunk(2)[0])
        pairs, ln_k = 2 + 2 * views, math.log(image.shape[1])
        local, global_ = (float(terms[name]) / plain.weights.dino for name in ("dino_local", "dino_global"))
        of_crops = plain._patch_term(batch, tokens, patch) * len(batch.masks) / batch.masks.any(1).sum()
        other_view = head(below(plain.student, "dino_head"), torch.cat(cls.chunk(2)[::-1]))
        numbers = {
            "dino_target_entropy": entropy(image),
            "ibot_target_entropy": entropy(patch),
            "dino_prototype_usage": in_use(image),
            "ibot_prototype_usage": in_use(patch),
            "agreement": float((other_view.argmax(1) == image.argmax(1)).double().mean()),
            "rank_me": rank_me(cls),
            "feature_cosine": mean_cosine(cls),
            "dino_loss_over_ln_k": (local + global_) / ln_k,
            "dino_global_over_ln_k": float(-(torch.cat(image.chunk(2)[::-1]) * logs).sum(1).mean()) / ln_k,
            "ibot_loss_over_ln_k": float(of_crops) / math.log(patch.shape[1]),
            "student_lead": float(apart(plain)),
        }
        if views:
            numbers["dino_local_over_ln_k"] = local * pairs / (2 * views) / ln_k
        assert len(masked) == len(patch) <= 256  # all rows are looked at
        for name, value in numbers.items():
            found[name] = found.get(name, 0.0) + value / len(batches)
    return found


def apart(plain: PlainStep) -> Tensor:
    """Distance of the student to the teacher over the student's length."""
    student, teacher = (torch.cat([p.flatten() for p in side.values()]) for side in (plain.student, plain.teacher))
    return (student - teacher).norm() / student.norm()


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_diagnostics_are_what_they_are_called(variant: Variant) -> None:
    generator = torch.Generator().manual_seed(3)
    method = variant.method()
    scatter(method, generator)
    plain, knobs = variant.plain(method), replace(step_knobs(2), diagnose=True)
    batches = [one_batch(variant, method, None, 1, generator) for _ in range(variant.micro_batches)]
    parts = method.micro_losses([batch for batch, _, _ in batches], knobs, [draws for _, draws, _ in batches])
    found: dict[str, float] = {}
    for part in parts:
        for name, value in part.diagnostics.items():
            found[name] = found.get(name, 0.0) + value.item()
    wanted = plain_diagnostics(plain, [each for _, _, each in batches], knobs.teacher_temp)
    assert found == pytest.approx(wanted, rel=1e-7)


def test_rank_me_of_known_features() -> None:
    from trainer.methods.diagnostics import rank_me as ours

    features = torch.randn(200, 24, generator=torch.Generator().manual_seed(0)) + 2
    assert ours(features).item() == pytest.approx(rank_me(features.double()), rel=1e-4)
    assert ours(torch.eye(7)).item() == pytest.approx(7, rel=1e-5)
    assert ours(torch.ones(30, 1) @ features[:1]).item() == pytest.approx(1, abs=1e-3)
