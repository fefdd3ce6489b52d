"""Targets and losses give the official numbers."""

from __future__ import annotations

import pytest
import torch
from tests.parity.named_tensors import arrays, fill, fingerprint_error, numbers
from torch import Tensor

from trainer.losses.dino_loss import DinoBatch, dino_global_loss, dino_local_loss
from trainer.losses.ibot_loss import ibot_loss, masked_patches
from trainer.losses.koleo import koleo_loss, nearest_neighbours
from trainer.losses.sinkhorn_knopp import sinkhorn_knopp
from trainer.losses.softmax_centering import SoftmaxCentering
from trainer.losses.teacher_targets import dense_rows

NUMBERS, STORED = numbers("losses"), arrays("losses")
DINO, IBOT, KOLEO = NUMBERS["dino"], NUMBERS["ibot"], NUMBERS["koleo"]


def identity(K: int) -> Tensor:
    """Prototypes that pass logits through, so that stored logits can stand for features."""
    return torch.eye(K)


@pytest.mark.parametrize("temp", [0.04, 0.07])
def test_sinkhorn_targets(temp: float) -> None:
    for kind, shape, expected in (("dino", (12, 512), DINO), ("ibot", (67, 256), IBOT)):
        logits = fill(f"{kind}/t", shape, std=0.3)
        assert fingerprint_error(sinkhorn_knopp(logits, temp), expected[f"sinkhorn_T{temp}"]) < 1e-5
    logits = fill("dino/t", (12, 512), std=0.3)
    torch.testing.assert_close(sinkhorn_knopp(logits, temp)[:4], STORED[f"dino/sinkhorn_T{temp}"], atol=1e-6, rtol=1e-5)
    once = sinkhorn_knopp(logits, temp, iterations=1)
    assert fingerprint_error(once, DINO[f"sinkhorn_T{temp}_iters1"]) < 1e-5


@pytest.mark.parametrize("temp", [0.04, 0.07])
def test_centered_targets_of_the_first_step(temp: float) -> None:
    for kind, shape, expected in (("dino", (12, 512), DINO), ("ibot", (67, 256), IBOT)):
        targets = SoftmaxCentering(shape[1]).targets(fill(f"{kind}/t", shape, std=0.3), identity(shape[1]), temp)
        assert fingerprint_error(targets(0, shape[0]), expected[f"softmax_center0_T{temp}"]) < 1e-5


@pytest.mark.parametrize(("kind", "K"), [("dino", 512), ("ibot", 256)])
def test_the_center_lags_one_step(kind: str, K: int) -> None:
    expected, centering = NUMBERS[kind], SoftmaxCentering(K)
    for step in range(3):
        logits = STORED[f"{kind}/center_logits_{step}"]
        targets = centering.targets(logits, identity(K), expected["center_T"])
        assert fingerprint_error(targets(0, len(logits)), expected[f"center_probs_{step}"]) < 1e-5
        assert fingerprint_error(centering.center, expected[f"center_used_{step}"]) < 1e-5
        centering.commit()
    centering.targets(logits, identity(K), 0.1)
    assert fingerprint_error(centering.center, expected["center_after"]) < 1e-5


def test_dino_loss_of_local_and_global_crops() -> None:
    targets = dense_rows(STORED["dino/targets"].flatten(0, 1))
    batch = DinoBatch(images=6, step_images=6, local_crops=4)
    local = fill("dino/sl", (24, 512), std=0.3).requires_grad_()
    loss = batch.pairs * dino_local_loss(local, identity(512), targets, batch)
    loss.backward()
    assert loss.item() == pytest.approx(DINO["loss_local_raw"], rel=1e-6)
    assert local.grad is not None
    assert fingerprint_error(local.grad, DINO["grad_local"]) < 1e-5

    # The stored figure pairs crops and targets in order, so the views are swapped back first.
    global_ = fill("dino/sg", (12, 512), std=0.3).requires_grad_()
    loss = batch.pairs / 2 * dino_global_loss(global_.roll(6, dims=0), identity(512), targets, batch)
    loss.backward()
    assert loss.item() == pytest.approx(DINO["loss_global_raw"], rel=1e-6)
    assert global_.grad is not None
    assert fingerprint_error(global_.grad, DINO["grad_global"]) < 1e-5


def test_ibot_loss() -> None:
    chosen = masked_patches(STORED["ibot/masks"])
    torch.testing.assert_close(chosen.weights, STORED["ibot/masks_weight"])
    targets = sinkhorn_knopp(fill("ibot/t", (67, 256), std=0.3), 0.07)
    student = fill("ibot/s", (67, 256), std=0.3).requires_grad_()
    loss = ibot_loss(student, identity(256), dense_rows(targets), chosen.weights, step_crops=6)
    loss.backward()
    assert loss.item() == pytest.approx(IBOT["loss_masked"], rel=1e-6)
    assert student.grad is not None
    assert fingerprint_error(student.grad, IBOT["grad"]) < 1e-5


@pytest.mark.parametrize("name", ["2x8", "6x96", "32x384", "duplicates"])
def test_koleo_loss(name: str) -> None:
    if name == "duplicates":
        x = STORED["dino/koleo_duplicates"].clone().requires_grad_()
    else:
        x = fill(f"koleo/{name}", [int(n) for n in name.split("x")]).requires_grad_()
    loss = koleo_loss(x)
    loss.backward()
    assert loss.item() == pytest.approx(KOLEO[name]["loss"], rel=1e-5)
    assert x.grad is not None
    assert fingerprint_error(x.grad, KOLEO[name]["grad"]) < 1e-4
    if "nn" in KOLEO[name]:
        rows = torch.nn.functional.normalize(x.detach(), dim=-1)
        assert nearest_neighbours(rows, rows, 0).tolist() == KOLEO[name]["nn"]
