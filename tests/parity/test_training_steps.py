"""Four training steps give the official numbers: losses, gradients, clip norms, weights, teacher."""

from __future__ import annotations

import pytest
import torch
from tests.parity.named_tensors import arrays, fingerprint_error, images, numbers, weights

from trainer.data.batch import CropBatch
from trainer.engine.step import training_step
from trainer.methods.dinov2 import DinoV2
from trainer.methods.dinov2_settings import DinoV2Settings
from trainer.models.heads import HeadSettings
from trainer.models.vision_transformer import VitSettings
from trainer.optim.adamw import build_adamw
from trainer.optim.knobs import StepKnobs

NUMBERS, MASKS = numbers("step_separate_sinkhorn"), arrays("step_separate_sinkhorn")
B, L = 4, 4


def official_method() -> DinoV2:
    settings = DinoV2Settings(
        backbone=VitSettings(embed_dim=96, depth=4, num_heads=3, image_size=98),
        dino_head=HeadSettings(prototypes=512, hidden_dim=128, bottleneck_dim=64),
        ibot_head=HeadSettings(prototypes=256, hidden_dim=128, bottleneck_dim=64),
    )
    method = DinoV2(settings)
    for name in ("student", "teacher"):
        getattr(method, name).load_state_dict(weights(NUMBERS["student_shapes"], f"step/{name}/"))
    return method.train()


def batch(step: int) -> CropBatch:
    return CropBatch(
        global_crops=images(f"step{step}/g", 2 * B, 98, 98),
        local_crops=images(f"step{step}/l", L * B, 42, 42),
        masks=MASKS[f"masks_{step}"],
        keys=tuple("abcd"),
        position=step,
    )


def knobs(step: int) -> StepKnobs:
    n = NUMBERS["steps"][step]
    return StepKnobs(n["lr"], n["wd"], n["momentum"], n["teacher_temp"], n["last_layer_lr"])


def test_four_steps() -> None:
    method = official_method()
    optimizer = build_adamw(method.parameter_groups())
    for step, expected in enumerate(NUMBERS["steps"]):
        check_gradients(method, step)
        report = training_step(method, optimizer, [batch(step)], knobs(step), clip_norm=3.0)
        assert report.total == pytest.approx(expected["total_loss"], rel=1e-5)
        assert sum(report.terms.values()) == pytest.approx(report.total, rel=1e-6)
        assert report.logged == pytest.approx(expected["loss_dict"], rel=1e-5)
        assert report.clip_norms == pytest.approx(expected["clip_norms"], rel=1e-5)
        check_groups(optimizer, expected["groups"])
        for who in ("student", "teacher"):
            for name, parameter in getattr(method, who).named_parameters():
                if not name.endswith("attn.qkv.bias"):
                    error = fingerprint_error(parameter, expected[f"{who}_fingerprints"][name])
                    assert error < 1e-5, (step, who, name)


def check_gradients(method: DinoV2, step: int) -> None:
    """Gradients of the whole step, before clipping."""
    method.zero_grad()
    method.losses(batch(step), knobs(step)).total.backward()
    for name, parameter in method.student.named_parameters():
        error = fingerprint_error(parameter.grad, NUMBERS["steps"][step]["grad_fingerprints"][name])
        assert error < 1e-4, (step, name)


def check_groups(optimizer: torch.optim.Optimizer, official: list[dict[str, float]]) -> None:
    """Learning rates and weight decays that the optimiser used."""
    for group, expected in zip(optimizer.param_groups, official, strict=True):
        assert group["lr"] == pytest.approx(expected["lr"], rel=1e-12, abs=1e-15)
        assert group["weight_decay"] == pytest.approx(expected["weight_decay"], rel=1e-12)
        assert len(group["params"]) == expected["n_params"]


def test_a_wrong_loss_weight_is_seen() -> None:
    """The comparison can fail: a KoLeo weight off by a thousandth is out of tolerance."""
    method = official_method()
    method.settings = DinoV2Settings(**{**vars(method.settings), "koleo_weight": 0.1001})
    with torch.no_grad():
        total = method.losses(batch(0), knobs(0)).total.item()
    assert total != pytest.approx(NUMBERS["steps"][0]["total_loss"], rel=1e-5)
