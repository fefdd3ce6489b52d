"""Warnings on real steps of a small model: each kind is seen in a run made sick on purpose, none in a healthy one."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache

import pytest
import torch

from trainer.data.batch import CropBatch
from trainer.engine.health import HealthWatch
from trainer.engine.step import training_step
from trainer.methods.dinov2 import DinoV2
from trainer.methods.dinov2_settings import DinoV2Settings
from trainer.models.heads import HeadSettings
from trainer.models.vision_transformer import VitSettings
from trainer.optim.adamw import build_adamw
from trainer.optim.knobs import StepKnobs

B, STEPS = 16, 120


@dataclass(frozen=True)
class Run:
    """What tells the runs apart."""

    lr: float = 1e-3
    centering: str = "sinkhorn_knopp"
    koleo_weight: float = 0.1
    teacher_temp: float = 0.04
    layer_scale: float = 1.0


def batch(step: int, images: torch.Tensor, generator: torch.Generator) -> CropBatch:
    chosen = images[torch.randint(len(images), (B,), generator=generator)]
    noisy = [chosen + 0.3 * torch.randn(chosen.shape, generator=generator) for _ in range(2)]
    masks = torch.rand(2 * B, 16, generator=generator) < 0.3
    return CropBatch(torch.cat(noisy), noisy[0][..., :8, :8], masks, ("image",) * B, step)


@cache
def warnings_of(run: Run) -> list[str]:
    """The first step and every 5th are looked at."""
    torch.manual_seed(0)
    head = HeadSettings(prototypes=64, hidden_dim=32, bottleneck_dim=16)
    vit = VitSettings(embed_dim=32, depth=1, num_heads=1, patch_size=4, image_size=16, layer_scale=run.layer_scale)
    settings = DinoV2Settings(vit, head, head, centering=run.centering, koleo_weight=run.koleo_weight)
    method = DinoV2(settings).train()
    optimizer, watch = build_adamw(method.parameter_groups()), HealthWatch(STEPS)
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(64, 3, 16, 16, generator=generator)
    found = []
    for step in range(STEPS):
        knobs = StepKnobs(run.lr, 0.04, 0.95, run.teacher_temp, run.lr, step, diagnose=step == 0 or step % 5 == 4)
        report = training_step(method, optimizer, [batch(step, images, generator)], knobs)
        found += watch.seen(step + 1, report.diagnostics) if knobs.diagnose else []
    return found


def test_a_healthy_run_is_left_in_peace() -> None:
    assert warnings_of(Run()) == []


UNBALANCED = Run(centering="centering", koleo_weight=0.0)


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (replace(UNBALANCED, lr=0.02), "effective rank of 1.*has collapsed: lower optim.lr"),
        (replace(UNBALANCED, lr=0.02), "mean cosine of 0.99.*has collapsed: lower optim.lr"),
        (Run(lr=1e-10), "they do not move: raise optim.lr"),
        (Run(lr=1e-10, layer_scale=1e-5), "mean cosine of 1.*did at the first step too.*raise optim.lr"),
        (Run(teacher_temp=5.0), "nearly uniform.*lower schedules.teacher_temp"),
        (replace(UNBALANCED, lr=0.02, teacher_temp=1e-3), "certain of every image.*raise schedules.teacher_temp"),
        (Run(teacher_temp=5.0), "stays at 1.0.. of ln K, no better than guessing: raise optim.lr"),
    ],
    ids=["rank", "cosine", "still", "alike from the start", "uniform targets", "certain targets", "guessing"],
)
def test_every_kind_of_sick_run_is_told(run: Run, words: str) -> None:
    found = warnings_of(run)
    assert any(re.search(words, warning) for warning in found), found
