"""Our step against the same step written plainly (plain_step.py): four steps in float64.

Ours takes the losses' softmax and KoLeo in float32, which bounds how close the two can be.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from tests.parity.plain_step import Centers, PlainStep, PlainVit
from torch import Tensor

from trainer.data.batch import CropBatch
from trainer.engine.step import finish_step
from trainer.layers.stochastic_depth import draw_depth
from trainer.methods.dinov2 import DinoV2
from trainer.methods.dinov2_settings import DinoV2Settings
from trainer.models.heads import HeadSettings
from trainer.models.vision_transformer import VitSettings
from trainer.optim.adamw import build_adamw
from trainer.optim.knobs import StepKnobs

IMAGES, WIDTH, DEPTH, HEADS, PATCH, GLOBAL_PX, LOCAL_PX = 4, 96, 3, 3, 14, 98, 42
CLOSE, GRADIENT = 1e-6, 1e-5


@dataclass(frozen=True)
class Variant:
    """What differs between the runs."""

    name: str
    shared: bool = False
    centering: str = "sinkhorn_knopp"
    ffn: str = "mlp"
    registers: int = 0
    drop: float = 0.0
    uniform: bool = True
    views: int = 4
    decay: float = 0.9
    weight_norm: bool = True
    layers: int = 3

    @property
    def resampling(self) -> str:
        """As the released models with and without registers."""
        return "official_registers" if self.registers == 4 else "official"

    def head(self, prototypes: int) -> HeadSettings:
        """A small head."""
        return HeadSettings(
            prototypes=prototypes, hidden_dim=64, bottleneck_dim=32, weight_norm=self.weight_norm, layers=self.layers
        )

    def method(self) -> DinoV2:
        """Ours, in float64."""
        backbone = VitSettings(
            embed_dim=WIDTH,
            depth=DEPTH,
            num_heads=HEADS,
            image_size=GLOBAL_PX,
            ffn=self.ffn,
            registers=self.registers,
            drop_path_rate=self.drop,
            drop_path_uniform=self.uniform,
            resampling=self.resampling,
        )
        settings = DinoV2Settings(
            backbone=backbone,
            dino_head=self.head(48),
            ibot_head=None if self.shared else self.head(32),
            centering=self.centering,
            koleo_min_distance=0.0,
            layerwise_decay=self.decay,
        )
        return DinoV2(settings).train().double()

    def plain(self, method: DinoV2) -> PlainStep:
        """The plain step with the same weights."""
        offset, antialias = (0.0, True) if self.registers == 4 else (0.1, False)
        vit = PlainVit(HEADS, PATCH, GLOBAL_PX // PATCH, self.registers, self.ffn == "swiglu", offset, antialias)
        patch_prototypes = 48 if self.shared else 32
        centers = Centers(*(torch.zeros(1, k, dtype=torch.float64) for k in (48, patch_prototypes)))
        return PlainStep(
            vit=vit,
            student={n: p.detach().clone().requires_grad_() for n, p in method.student.named_parameters()},
            teacher={n: p.detach().clone() for n, p in method.teacher.named_parameters()},
            shared=self.shared,
            centers=centers if self.centering == "centering" else None,
            decay=self.decay,
            depth=DEPTH,
        )


VARIANTS = [
    Variant("separate heads, Sinkhorn-Knopp"),
    Variant("shared head, centering", shared=True, centering="centering"),
    Variant("swiglu, registers, depth .4", shared=True, ffn="swiglu", registers=4, drop=0.4),
    Variant("linear depth", centering="centering", registers=2, drop=0.3, uniform=False, views=3, decay=1.0),
    Variant("plain heads", drop=0.1, views=2, decay=0.75, weight_norm=False),
    Variant("no local crops, two layers", shared=True, centering="centering", drop=0.2, views=0, layers=2),
]


def scatter(method: DinoV2, generator: torch.Generator) -> None:
    """Weights of ordinary sizes, those of the teacher its own."""
    for module in (method.student, method.teacher):
        for name, parameter in module.named_parameters():
            one = ("norm" in name and name.endswith("weight")) or name.endswith("weight_g")
            size, middle = (0.2, 0.5) if "gamma" in name else (0.1, 1.0) if one else (0.06, 0.0)
            drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.data.copy_(middle + size * drawn)


def same(ours: Tensor, plain: Tensor, close: float) -> bool:
    return bool((ours - plain).norm() <= close * plain.norm().clamp(min=1e-6))


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_four_steps_are_those_of_the_plain_step(variant: Variant) -> None:
    generator = torch.Generator().manual_seed(1)
    method = variant.method()
    scatter(method, generator)
    plain, optimizer = variant.plain(method), build_adamw(method.parameter_groups())
    rates = method.student["backbone"].drop_path_rates()
    for step in range(4):
        crops = (
            torch.randn(2 * IMAGES, 3, GLOBAL_PX, GLOBAL_PX, generator=generator, dtype=torch.float64),
            torch.randn(variant.views * IMAGES, 3, LOCAL_PX, LOCAL_PX, generator=generator, dtype=torch.float64),
        )
        masks = torch.rand(2 * IMAGES, (GLOBAL_PX // PATCH) ** 2, generator=generator) < 0.3
        masks[1] = masks[5] = False
        knobs = StepKnobs(
            lr=(0.0, 1e-3, 2e-3, 1e-3)[step],
            weight_decay=0.04 + 0.05 * step,
            teacher_momentum=0.99,
            teacher_temp=0.04 + 0.01 * step,
            last_layer_lr=(0.0, 0.0, 2e-3, 1e-3)[step],
        )
        draws = draw_depth(rates, [2 * IMAGES] + ([len(crops[1])] if variant.views else []), generator)
        kept = tuple(
            [None if one is None else (one.attention[group], one.ffn[group]) for one in draws]
            for group in range(2 if variant.views else 1)
        )
        batch = CropBatch(global_crops=crops[0], local_crops=crops[1], masks=masks, keys=tuple("abcd"), position=step)
        optimizer.zero_grad()
        losses = method.losses(batch, knobs, draws)
        losses.total.backward()
        terms = plain.losses(crops, masks, knobs.teacher_temp, (kept[0], kept[-1]))
        for name, value in terms.items():
            if name in losses.terms or value.item():
                assert losses.terms[name].item() == pytest.approx(value.item(), rel=CLOSE), name
        for parameter in plain.student.values():
            parameter.grad = None
        sum(terms.values()).backward()
        for name, parameter in method.student.named_parameters():
            gradient = plain.student[name].grad
            if gradient is not None and not name.endswith("qkv.bias"):  # keys' bias: zero but for rounding
                assert same(parameter.grad, gradient, GRADIENT), name
        report = finish_step(method, optimizer, [losses], knobs, clip_norm=3.0)
        for name, norm in plain.update(knobs, 3.0).items():
            assert report.clip_norms[name] == pytest.approx(norm, rel=1e-6)
        for module, weights in ((method.student, plain.student), (method.teacher, plain.teacher)):
            for name, parameter in module.named_parameters():
                assert name.endswith("qkv.bias") or same(parameter.detach(), weights[name].detach(), CLOSE), name
