"""Warnings on real steps of a small model: a collapsed and a frozen run are told, a healthy one is left in peace."""

from __future__ import annotations

from dataclasses import dataclass

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

    lr: float
    centering: str = "sinkhorn_knopp"
    koleo_weight: float = 0.1


def batch(step: int, images: torch.Tensor, generator: torch.Generator) -> CropBatch:
    chosen = images[torch.randint(len(images), (B,), generator=generator)]
    noisy = [chosen + 0.3 * torch.randn(chosen.shape, generator=generator) for _ in range(2)]
    masks = torch.rand(2 * B, 16, generator=generator) < 0.3
    return CropBatch(torch.cat(noisy), noisy[0][..., :8, :8], masks, ("image",) * B, step)


def warnings_of(run: Run) -> list[str]:
    """Every 5th step is looked at."""
    torch.manual_seed(0)
    head = HeadSettings(prototypes=64, hidden_dim=32, bottleneck_dim=16)
    vit = VitSettings(embed_dim=32, depth=1, num_heads=1, patch_size=4, image_size=16, layer_scale=1.0)
    settings = DinoV2Settings(vit, head, head, centering=run.centering, koleo_weight=run.koleo_weight)
    method = DinoV2(settings).train()
    optimizer, watch = build_adamw(method.parameter_groups()), HealthWatch(STEPS)
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(64, 3, 16, 16, generator=generator)
    found = []
    for step in range(STEPS):
        knobs = StepKnobs(run.lr, 0.04, 0.95, 0.04, run.lr, step, diagnose=step % 5 == 4)
        report = training_step(method, optimizer, [batch(step, images, generator)], knobs)
        found += watch.seen(step + 1, report.diagnostics) if knobs.diagnose else []
    return found


def test_a_healthy_run_is_left_in_peace() -> None:
    assert warnings_of(Run(lr=1e-3)) == []


def test_a_rate_far_too_high_without_balance_or_spread_collapses_and_is_told() -> None:
    found = warnings_of(Run(lr=0.1, centering="centering", koleo_weight=0.0))
    assert any("all images look alike" in warning and "lower optim.lr" in warning for warning in found), found


def test_a_run_that_does_not_move_is_told() -> None:
    found = warnings_of(Run(lr=1e-10))
    assert any("they do not move: raise optim.lr" in warning for warning in found), found
