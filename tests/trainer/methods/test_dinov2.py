"""The DINOv2 method: its terms, its teacher, its micro-batches, its state."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.ranks_together import run_ranks

from contracts.errors import ConfigError
from trainer.data.batch import CropBatch
from trainer.engine.step import training_step
from trainer.layers.stochastic_depth import draw_depth
from trainer.methods.dinov2 import DinoV2
from trainer.methods.dinov2_settings import DinoV2Settings
from trainer.methods.gram_anchor import GramSettings
from trainer.models.heads import HeadSettings
from trainer.models.sizes import vit_settings
from trainer.optim.adamw import build_adamw
from trainer.optim.knobs import StepKnobs

KNOBS = StepKnobs(lr=1e-3, weight_decay=0.04, teacher_momentum=0.9, teacher_temp=0.05, last_layer_lr=1e-3)
HEAD = HeadSettings(prototypes=40, hidden_dim=32, bottleneck_dim=16)


def method(seed: int = 0, backbone: dict[str, Any] | None = None, **fields: Any) -> DinoV2:
    torch.manual_seed(seed)
    vit = vit_settings("vitn8", image_size=32, embed_dim=32, depth=2, layer_scale=0.1, **(backbone or {}))
    settings = {"ibot_head": replace(HEAD, prototypes=24), "koleo_weight": 0.1, **fields}
    return DinoV2(DinoV2Settings(backbone=vit, dino_head=HEAD, **settings)).train()


def batch(images: int = 4, local_crops: int = 3, seed: int = 0) -> CropBatch:
    g = torch.Generator().manual_seed(seed)
    masks = torch.rand(2 * images, 16, generator=g) > 0.6
    masks[::2] = False
    return CropBatch(
        global_crops=torch.randn(2 * images, 3, 32, 32, generator=g),
        local_crops=torch.randn(local_crops * images, 3, 16, 16, generator=g),
        masks=masks,
        keys=tuple(map(str, range(images))),
        position=0,
    )


def parts(whole: CropBatch, images: int, cut: int) -> list[CropBatch]:
    """Split a batch by images, crop-major order kept."""

    def split(x: torch.Tensor) -> list[torch.Tensor]:
        views = x.unflatten(0, (-1, images))
        return [views[:, :cut].flatten(0, 1), views[:, cut:].flatten(0, 1)]

    pieces = zip(split(whole.global_crops), split(whole.local_crops), split(whole.masks), strict=True)
    return [CropBatch(g, local, m, (), 0) for g, local, m in pieces]


@pytest.mark.parametrize("centering", ["sinkhorn_knopp", "centering"])
@pytest.mark.parametrize("shared", [True, False])
def test_terms_add_up_and_every_student_parameter_is_trained(centering: str, shared: bool) -> None:
    m = method(centering=centering, **({"ibot_head": None} if shared else {}))
    losses = m.losses(batch(), KNOBS)
    assert losses.total.item() == pytest.approx(sum(t.item() for t in losses.terms.values()), rel=1e-6)
    assert set(losses.terms) == {"dino_local", "dino_global", "koleo", "ibot"}
    assert losses.logged["koleo_loss"].item() == pytest.approx(losses.terms["koleo"].item() / 2)
    assert losses.logged["ibot_loss"].item() == pytest.approx(losses.terms["ibot"].item() / 2)
    losses.total.backward()
    assert [n for n, p in m.student.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []
    assert all(p.grad is None for p in m.teacher.parameters())
    assert ("ibot_head" in m.student) != shared


def test_untrained_losses_are_near_the_logarithm_of_the_number_of_prototypes() -> None:
    losses = method(student_temp=1.0).losses(batch(), replace(KNOBS, teacher_temp=1.0))
    dino = losses.terms["dino_local"] + losses.terms["dino_global"]
    assert dino.item() == pytest.approx(math.log(40), rel=0.05)
    masked_share = 0.5
    assert losses.terms["ibot"].item() == pytest.approx(masked_share * math.log(24), rel=0.05)


@pytest.mark.parametrize("centering", ["sinkhorn_knopp", "centering"])
def test_micro_batches_give_the_gradients_of_the_whole_batch(centering: str) -> None:
    whole = batch(images=5)
    gradients = []
    for batches in ([whole], parts(whole, 5, 2)):
        m = method(centering=centering, koleo_weight=0.0)
        total = 0.0
        for losses in m.micro_losses(batches, KNOBS):
            losses.total.backward()
            total += losses.total.item()
        gradients.append((total, {n: p.grad for n, p in m.student.named_parameters()}))
        m.after_step(KNOBS)
        gradients[-1] += (m.state_dict(),)
    (one, first, state), (two, second, other_state) = gradients
    assert one == pytest.approx(two, rel=1e-5)
    for name in first:
        torch.testing.assert_close(first[name], second[name], atol=1e-6, rtol=1e-3)
    for name in state:
        torch.testing.assert_close(state[name], other_state[name], atol=1e-6, rtol=1e-3)


def test_given_depth_draws_are_used() -> None:
    m = method(backbone={"drop_path_rate": 0.5})
    rates = m.student["backbone"].drop_path_rates()  # type: ignore[operator]
    torch.manual_seed(5)
    drawn = m.losses(batch(), KNOBS).total.item()
    torch.manual_seed(5)
    draws = draw_depth(rates, [8, 12])
    assert m.losses(batch(), KNOBS, draws).total.item() == drawn
    other = draw_depth(rates, [8, 12], torch.Generator().manual_seed(1))
    assert m.losses(batch(), KNOBS, other).total.item() != drawn


def test_the_teacher_stays_in_eval_mode_and_follows_the_student() -> None:
    m = method()
    assert m.training
    assert not m.teacher.training
    with torch.no_grad():
        for p in m.student.parameters():
            p.add_(1.0)
    before = m.teacher["backbone"].norm.bias.clone()  # type: ignore[union-attr, operator]
    m.after_step(KNOBS)
    torch.testing.assert_close(m.teacher["backbone"].norm.bias, before + 0.1)  # type: ignore[union-attr]
    assert m.result() is m.teacher


@pytest.mark.parametrize("centering", ["sinkhorn_knopp", "centering"])
def test_a_resumed_run_is_bit_for_bit_the_same(centering: str) -> None:
    fields: dict[str, Any] = {"centering": centering, "backbone": {"drop_path_rate": 0.4}}

    def steps(m: DinoV2, optimizer: torch.optim.Optimizer, first: int, last: int) -> None:
        for step in range(first, last):
            training_step(m, optimizer, [batch(seed=step)], KNOBS)

    straight = method(**fields)
    optimizer = build_adamw(straight.parameter_groups())
    steps(straight, optimizer, 0, 2)
    saved = {k: v.clone() for k, v in straight.state_dict().items()}
    saved_optimizer, saved_random = optimizer.state_dict(), torch.get_rng_state()
    saved_optimizer = torch.load(_bytes(saved_optimizer), weights_only=True)
    steps(straight, optimizer, 2, 4)

    resumed = method(seed=9, **fields)
    resumed.load_state_dict(saved)
    optimizer = build_adamw(resumed.parameter_groups())
    optimizer.load_state_dict(saved_optimizer)
    torch.set_rng_state(saved_random)
    steps(resumed, optimizer, 2, 4)
    for name, value in straight.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def _bytes(state: Any) -> Any:
    import io

    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return buffer


def test_no_masks_and_no_local_crops() -> None:
    plain = batch(local_crops=0)
    unmasked = replace(plain, masks=torch.zeros_like(plain.masks))
    losses = method().losses(unmasked, KNOBS)
    assert losses.terms["ibot"].item() == 0.0
    assert losses.terms["dino_local"].item() == 0.0
    assert losses.terms["dino_global"].item() > 0
    losses.total.backward()


def test_diagnostics_come_only_when_asked_for() -> None:
    m = method()
    assert m.losses(batch(), KNOBS).diagnostics == {}
    found = m.losses(batch(), replace(KNOBS, diagnose=True)).diagnostics
    for name in ("dino_target_entropy", "ibot_target_entropy", "dino_prototype_usage", "agreement"):
        assert 0.0 <= found[name].item() <= 1.0, name
    assert 1.0 <= found["rank_me"].item() <= 8.0
    split = list(m.micro_losses(parts(batch(), 4, 1), replace(KNOBS, diagnose=True)))
    assert 0.0 < sum(part.diagnostics["dino_target_entropy"].item() for part in split) <= 1.0


def test_gram_anchoring_pulls_only_after_its_start() -> None:
    m = method(gram=GramSettings(weight=1.0, start_step=1))
    assert m.losses(batch(), KNOBS).terms["gram"].item() == 0.0
    with torch.no_grad():
        for p in m.teacher["backbone"].parameters():
            p.add_(0.05 * torch.randn_like(p))
    at_start = m.losses(batch(), replace(KNOBS, step=1))
    assert at_start.terms["gram"].item() > 0.0
    assert m.gram is not None
    anchor = m.gram.backbone.state_dict()
    for name, value in m.teacher["backbone"].state_dict().items():
        assert torch.equal(anchor[name], value), name
    assert "gram.backbone.cls_token" in m.state_dict()


def test_an_unknown_centering_is_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean 'sinkhorn_knopp'"):
        method(centering="sinkhorn")


def everything(one: DinoV2, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Weights, averages, centers and what they wait for, moments."""
    moments = {f"{i}.{k}": v for i, state in enumerate(optimizer.state.values()) for k, v in state.items()}
    return {name: value.clone() for name, value in {**one.state_dict(), **moments}.items()}


def steps_with_a_broken_one(rank: int, centering: str, broken_rank: int) -> None:
    """A step in which one rank has a broken picture changes no weight on any, and the run goes on as if it had not
    been."""
    runs = []
    for with_broken in (False, True):
        one = method(centering=centering)
        optimizer = build_adamw(one.parameter_groups())
        for seed in range(2):
            training_step(one, optimizer, [batch(seed=10 * rank + seed)], KNOBS)
        if with_broken:
            before, broken = everything(one, optimizer), batch(seed=10 * rank + 2)
            if rank == broken_rank:
                broken.global_crops[0, 0, 0, 0] = math.nan
            report = training_step(one, optimizer, [broken], KNOBS)
            assert report.skipped
            assert "is nan" in report.reason
            after = everything(one, optimizer)
            weights = [name for name in before if "targets" not in name]  # the center of earlier steps may move in
            assert len(weights) > 50
            assert all(torch.equal(before[name], after[name]) for name in weights)
        assert not training_step(one, optimizer, [batch(seed=10 * rank + 3)], KNOBS).skipped
        runs.append(everything(one, optimizer))
    assert runs[0].keys() == runs[1].keys()
    assert all(torch.equal(value, runs[1][name]) for name, value in runs[0].items())


@pytest.mark.parametrize("centering", ["sinkhorn_knopp", "centering"])
def test_a_broken_picture_costs_its_step_and_nothing_else(centering: str) -> None:
    steps_with_a_broken_one(0, centering, 0)


def test_a_picture_that_is_broken_on_one_rank_costs_all_of_them_that_step() -> None:
    run_ranks(2, steps_with_a_broken_one, "centering", 1)
