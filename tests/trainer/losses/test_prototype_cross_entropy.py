"""The chunked loss is the plain one, with the plain gradients, whatever the chunk."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from trainer.losses.prototype_cross_entropy import prototype_cross_entropy
from trainer.losses.teacher_targets import dense_rows, shifted_rows, summed_rows

M, R, H, K = 13, 3, 6, 20


def inputs(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(R * M, H, generator=generator, dtype=dtype, requires_grad=True)
    prototypes = torch.randn(K, H, generator=generator, dtype=dtype, requires_grad=True)
    targets = torch.softmax(3 * torch.randn(M, K, generator=generator, dtype=dtype), dim=-1)
    return features, prototypes, targets, torch.rand(M, generator=generator, dtype=dtype)


def plain(features: Tensor, prototypes: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """The definition, with all logits at once."""
    log_p = torch.log_softmax(features @ prototypes.T / 0.1, dim=-1).view(R, M, K)
    return -(weights * (targets * log_p).sum(-1)).sum()


@pytest.mark.parametrize("chunk_elements", [1, 16 * R * K, 10**9])
@pytest.mark.parametrize("mass", [1.0, 2.0])
def test_loss_and_gradients_equal_the_plain_definition(chunk_elements: int, mass: float) -> None:
    features, prototypes, targets, weights = inputs()
    targets = targets * mass
    ours = prototype_cross_entropy(features, prototypes, dense_rows(targets), weights, 0.1, chunk_elements)
    theirs = plain(features, prototypes, targets, weights)
    torch.testing.assert_close(ours, theirs)
    given = 0.37
    torch.testing.assert_close(
        torch.autograd.grad(given * ours, (features, prototypes)),
        torch.autograd.grad(given * theirs, (features, prototypes)),
    )


def test_more_rows_than_a_chunk() -> None:
    features, prototypes, targets, weights = inputs()
    many = 4
    features = features.detach().view(R, M, H).repeat(1, many, 1).flatten(0, 1).requires_grad_()
    loss = prototype_cross_entropy(
        features, prototypes, dense_rows(targets.repeat(many, 1)), weights.repeat(many), 0.1, chunk_elements=1
    )
    single = plain(inputs()[0], prototypes, targets, weights)
    torch.testing.assert_close(loss, many * single)
    (gradient,) = torch.autograd.grad(loss, prototypes)
    torch.testing.assert_close(gradient, many * torch.autograd.grad(single, prototypes)[0])


def test_no_rows_give_zero_and_no_gradient() -> None:
    features, prototypes, targets, weights = inputs()
    loss = prototype_cross_entropy(features[:0], prototypes, dense_rows(targets[:0]), weights[:0])
    loss.backward()
    assert loss.item() == 0.0
    assert prototypes.grad is not None
    assert prototypes.grad.abs().sum() == 0


def test_half_precision_features_are_summed_in_float32() -> None:
    features, prototypes, targets, weights = inputs(torch.float32)
    half = prototype_cross_entropy(features.bfloat16(), prototypes.bfloat16(), dense_rows(targets), weights)
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(plain(features, prototypes, targets, weights).item(), rel=0.02)


def test_autocast_decides_the_products_alone() -> None:
    features, prototypes, targets, weights = inputs(torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = prototype_cross_entropy(features, prototypes, dense_rows(targets), weights)
    assert loss.dtype == torch.float32
    loss.backward()
    assert features.grad is not None
    assert features.grad.dtype == torch.float32
    assert loss.item() == pytest.approx(plain(features, prototypes, targets, weights).item(), rel=0.02)


def test_summed_and_shifted_rows() -> None:
    table = torch.arange(12.0).view(6, 2)
    both = summed_rows(dense_rows(table), views=2, images=3)
    assert torch.equal(both(0, 3), table[:3] + table[3:])
    assert torch.equal(table, torch.arange(12.0).view(6, 2))
    assert torch.equal(shifted_rows(dense_rows(table), 4)(0, 2), table[4:])
