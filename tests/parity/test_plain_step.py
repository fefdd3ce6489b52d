"""Our step against the same step written plainly (plain_step.py): four steps in float64, equal but for rounding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from tests.parity.plain_step import Centers, PlainBatch, PlainGram, PlainStep, PlainWeights
from tests.parity.plain_vit import PlainVit, Rotary
from tests.ranks_together import run_ranks
from torch import Tensor

from trainer.data.batch import CropBatch
from trainer.data.masking.batch_masks import batch_masks
from trainer.data.masking.settings import MaskingSettings
from trainer.engine.step import finish_step
from trainer.layers.rope import RopeSettings
from trainer.layers.stochastic_depth import DepthDraws, draw_depth
from trainer.methods.dinov2 import DinoV2
from trainer.methods.dinov2_settings import DinoV2Settings
from trainer.methods.gram_anchor import GramSettings
from trainer.models.heads import HeadSettings
from trainer.models.vision_transformer import VitSettings
from trainer.optim.adamw import build_adamw
from trainer.optim.knobs import StepKnobs

WIDTH, DEPTH, HEADS, PATCH, GLOBAL_PX, LOCAL_PX = 48, 3, 3, 14, 98, 42
PATCHES = (GLOBAL_PX // PATCH) ** 2
CLOSE = 1e-11
RESAMPLINGS = {"official": (0.1, False), "official_registers": (0.0, True), "huggingface": (0.0, False)}


@dataclass(frozen=True)
class Variant:
    """What differs between the runs; `backbone` and `losses` go to our settings as they are."""

    name: str
    backbone: dict[str, Any] = field(default_factory=dict)
    losses: dict[str, Any] = field(default_factory=dict)
    shared: bool = False
    head: dict[str, Any] = field(default_factory=dict)
    views: int = 4
    images: int = 4
    exact_masks: bool = False
    micro_batches: int = 1

    def heads(self) -> tuple[HeadSettings, HeadSettings | None]:
        """Small ones, of the image loss and of the patch loss."""
        dino = HeadSettings(**{"prototypes": 48, "hidden_dim": 32, "bottleneck_dim": 16, **self.head})
        return dino, None if self.shared else replace(dino, prototypes=32)

    def method(self) -> DinoV2:
        """Ours, in float64."""
        backbone = VitSettings(WIDTH, DEPTH, HEADS, PATCH, GLOBAL_PX, **self.backbone)
        settings = DinoV2Settings(backbone, *self.heads(), **{"koleo_min_distance": 0.0, **self.losses})
        return DinoV2(settings).train().double()

    def plain(self, method: DinoV2) -> PlainStep:
        """The plain step with the same weights."""
        s, vit, gram = method.settings, method.settings.backbone, method.settings.gram
        rotary = None
        if vit.position == "rope":
            rotary = Rotary(
                method.student["backbone"].rope_embed.periods, vit.rope.shift, vit.rope.jitter, vit.rope.rescale
            )
        sizes = HEADS, PATCH, GLOBAL_PX // PATCH, vit.registers, vit.ffn == "swiglu", *RESAMPLINGS[vit.resampling]
        centers = None
        if s.centering == "centering":
            centers = Centers(
                *(torch.zeros(1, h.prototypes).double() for h in (s.dino_head, s.ibot_head or s.dino_head))
            )
        return PlainStep(
            vit=PlainVit(*sizes, rotary),
            student={n: p.detach().clone().requires_grad_() for n, p in method.student.named_parameters()},
            teacher={n: p.detach().clone() for n, p in method.teacher.named_parameters()},
            shared=self.shared,
            centers=centers,
            decay=s.layerwise_decay,
            patch_embed=s.patch_embed_multiplier,
            weights=PlainWeights(
                s.dino_weight, s.ibot_weight, s.koleo_weight, s.koleo_min_distance, s.koleo_distributed, s.student_temp
            ),
            gram=None if gram is None else PlainGram(gram.weight, (1, 3), gram.enlarge),
        )


REGISTERS = {"registers": 4, "resampling": "official_registers"}
VARIANTS = [
    Variant("separate heads, Sinkhorn-Knopp"),
    Variant("shared head, centering", {"layer_scale": None}, {"centering": "centering"}, shared=True),
    Variant("swiglu, registers, depth .4", {"ffn": "swiglu", "drop_path_rate": 0.4, **REGISTERS}, shared=True),
    Variant(
        "linear depth",
        {"registers": 2, "drop_path_rate": 0.3, "drop_path_uniform": False},
        {"centering": "centering", "layerwise_decay": 1.0, "patch_embed_multiplier": 1.0},
        views=3,
    ),
    Variant("plain heads", {"drop_path_rate": 0.1}, {"layerwise_decay": 0.75}, head={"weight_norm": False}, views=2),
    Variant(
        "no local crops, two layers",
        {"drop_path_rate": 0.2},
        {"centering": "centering"},
        shared=True,
        head={"layers": 2, "mlp_bias": False},
        views=0,
    ),
    Variant("rotary positions", {"position": "rope", "registers": 4}, head={"weight_norm": False}),
    Variant(
        "rotary positions, moved and stretched, one layer",
        {"position": "rope", "rope": RopeSettings(50.0, shift=0.2, jitter=1.3, rescale=2.0), "drop_path_rate": 0.4},
        head={"layers": 1},
        views=2,
    ),
    Variant("exact counts, patch embedding at .05", {}, {"patch_embed_multiplier": 0.05}, exact_masks=True, views=1),
    Variant("no KoLeo, one image", {"resampling": "huggingface"}, {"koleo_weight": 0.0}, images=1),
    Variant("near pairs without KoLeo gradient, cold student", {}, {"koleo_min_distance": 1.2, "student_temp": 0.05}),
    Variant("other weights", {}, {"dino_weight": 0.5, "ibot_weight": 0.0, "koleo_weight": 1.0}, shared=True, views=2),
    Variant("Gram anchor", {"registers": 1}, {"gram": GramSettings(2.0, 1, 2)}, views=1),
    Variant("Gram anchor of larger crops", {}, {"gram": GramSettings(0.7, 1, 2, enlarge=2.0)}, views=1, images=2),
    Variant("micro-batches", {"drop_path_rate": 0.4}, {"centering": "centering"}, views=1, images=2, micro_batches=2),
    Variant("one channel", {"in_channels": 1, "mlp_ratio": 2.0}, views=1),
    Variant("four channels", {"in_channels": 4}, views=1),
]


def scatter(method: DinoV2, generator: torch.Generator) -> None:
    """Weights of ordinary sizes, those of the teacher its own."""
    for module in (method.student, method.teacher):
        for name, parameter in module.named_parameters():
            one = ("norm" in name and name.endswith("weight")) or name.endswith("weight_g")
            size, middle = (0.2, 0.5) if "gamma" in name else (0.1, 1.0) if one else (0.06, 0.0)
            drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.data.copy_(middle + size * drawn)


def assert_same(ours: Tensor | None, plain: Tensor | None, name: str) -> None:
    """Equal but for rounding; the keys' third of the bias has no true gradient and is left out."""
    if name.endswith("qkv.bias"):
        ours, plain = (x if x is None else torch.cat([x.chunk(3)[0], x.chunk(3)[2]]) for x in (ours, plain))
    if ours is None or plain is None:
        assert ours is None or not ours.any(), name
        assert plain is None or not plain.any(), name
    else:
        assert (ours - plain).norm() <= CLOSE * plain.norm().clamp(min=1e-3), name


def step_knobs(step: int) -> StepKnobs:
    """Of a short run whose first step has no rate and whose last layer is frozen for two."""
    return StepKnobs(
        lr=(0.0, 1e-3, 2e-3, 1e-3)[step],
        weight_decay=0.04 + 0.05 * step,
        teacher_momentum=0.99,
        teacher_temp=0.04 + 0.01 * step,
        last_layer_lr=(0.0, 0.0, 2e-3, 1e-3)[step],
        step=step,
    )


def masks_of(variant: Variant, step: int, generator: torch.Generator) -> Tensor:
    """At random with two crops left whole, or blocks filled to their exact counts. Shapes: bool [2 * B, N]."""
    crops = 2 * variant.images
    if variant.exact_masks:
        settings = MaskingSettings(exact_count=True)
        masks = torch.from_numpy(batch_masks(settings, GLOBAL_PX, PATCH, range(crops), crops, f"{step}"))
        upper_ends = [int(PATCHES * (0.1 + 0.4 * (place + 1) / variant.images)) for place in range(variant.images)]
        assert sorted(masks.sum(1).tolist()) == [0] * variant.images + upper_ends
        return masks
    masks = torch.rand(crops, PATCHES, generator=generator) < 0.3
    masks[[1, 5][: variant.images // 2]] = False
    return masks


def drawn_coordinates(rotary: Rotary | None, groups: Sequence[int], seed: int) -> list[list[Tensor] | None]:
    """By crop group and block, in the order in which a step draws them: block by block, group by group."""
    if rotary is None:
        return [None] * len(groups)
    torch.manual_seed(seed)
    by_block = [[rotary.distorted(rotary.coordinates(side, side)) for side in groups] for _ in range(DEPTH)]
    return [[block[group] for block in by_block] for group in range(len(groups))]


def one_batch(
    variant: Variant, method: DinoV2, rotary: Rotary | None, step: int, generator: torch.Generator
) -> tuple[CropBatch, DepthDraws, PlainBatch]:
    """Crops, masks and draws, for our step and for the plain one."""
    images, channels = variant.images, method.settings.backbone.in_channels
    shapes = (2 * images, channels, GLOBAL_PX, GLOBAL_PX), (variant.views * images, channels, LOCAL_PX, LOCAL_PX)
    crops = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]
    masks = masks_of(variant, step, generator)
    groups = [crop for crop in crops if len(crop)]
    draws = draw_depth(method.student["backbone"].drop_path_rates(), [len(crop) for crop in groups], generator)
    kept = [[one and (one.attention[group], one.ffn[group]) for one in draws] for group in range(len(groups))]
    coordinates = drawn_coordinates(rotary, [crop.shape[-1] // PATCH for crop in groups], seed=step)
    batch = CropBatch(*crops, masks=masks, keys=tuple("abcd"[:images]), position=step)
    return batch, draws, PlainBatch(*crops, masks, (kept[0], kept[-1]), (coordinates[0], coordinates[-1]))


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_four_steps_are_those_of_the_plain_step(variant: Variant) -> None:
    compare_steps(0, variant)


def compare_steps(rank: int, variant: Variant, ranks: int = 1) -> None:
    """Losses, gradients, norms, weights and teacher of four steps; the plain step sees the batches of all ranks.

    Micro-batches are to the plain step as ranks are: targets of all together, KoLeo of each.
    """
    generator = torch.Generator().manual_seed(1)
    method = variant.method()
    scatter(method, generator)
    plain, optimizer = variant.plain(method), build_adamw(method.parameter_groups())
    for step in range(4):
        knobs = step_knobs(step)
        count = ranks * variant.micro_batches
        batches = [one_batch(variant, method, plain.vit.rotary, step, generator) for _ in range(count)]
        own = batches[rank::ranks]
        optimizer.zero_grad()
        torch.manual_seed(step)  # of distorted rotary positions
        losses = []
        for part in method.micro_losses([batch for batch, _, _ in own], knobs, [draws for _, draws, _ in own]):
            part.total.backward()
            losses.append(part)
        terms = plain.losses([each for _, _, each in batches], knobs.teacher_temp)
        for parameter in plain.student.values():
            parameter.grad = None
        sum(terms.values()).backward()
        if ranks == 1:
            for name, parameter in method.student.named_parameters():
                assert_same(parameter.grad, plain.student[name].grad, name)
        report = finish_step(method, optimizer, losses, knobs, clip_norm=3.0)
        assert report.terms == pytest.approx({name: value.item() for name, value in terms.items()}, rel=CLOSE)
        assert report.total == pytest.approx(sum(value.item() for value in terms.values()), rel=CLOSE)
        assert report.clip_norms == pytest.approx(plain.update(knobs, 3.0), rel=CLOSE)
        for module, weights in ((method.student, plain.student), (method.teacher, plain.teacher)):
            for name, parameter in module.named_parameters():
                assert_same(parameter.detach(), weights[name].detach(), name)


OF_RANKS = [
    Variant("KoLeo of all ranks", {"drop_path_rate": 0.3}, {"koleo_distributed": True}, views=1, images=2),
    Variant("KoLeo of each rank, centering", {}, {"centering": "centering"}, views=1, images=2),
]


@pytest.mark.parametrize("ranks", [2, 4])
@pytest.mark.parametrize("variant", OF_RANKS, ids=lambda variant: variant.name)
def test_the_steps_of_several_ranks_are_those_of_the_plain_step(variant: Variant, ranks: int) -> None:
    """The ranks compare; what fails in one of them is raised here."""
    run_ranks(ranks, compare_steps, variant, ranks)


def test_rotary_periods_are_powers_of_the_base() -> None:
    method = Variant("", {"position": "rope", "rope": RopeSettings(50.0)}).method()
    quarter = WIDTH // HEADS // 4
    wanted = [50.0 ** (place / quarter) for place in range(quarter)]
    assert method.student["backbone"].rope_embed.periods.tolist() == pytest.approx(wanted, rel=1e-6)


def test_a_wrong_divisor_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison can fail: the divisor of one loss off by a billionth is out of tolerance."""
    weights = PlainWeights(ibot=1 + 1e-9)
    real = Variant.plain
    monkeypatch.setattr(Variant, "plain", lambda self, method: replace(real(self, method), weights=weights))
    with pytest.raises(AssertionError):
        compare_steps(0, VARIANTS[0])
