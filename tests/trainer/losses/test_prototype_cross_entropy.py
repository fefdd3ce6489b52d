"""The chunked losses are the plain ones, with the plain gradients, whatever the chunk."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from trainer.losses.prototype_cross_entropy import Segment, prototype_cross_entropies, prototype_cross_entropy
from trainer.losses.teacher_targets import dense_rows, mean_rows, shifted_rows

H, K = 6, 20


def prototypes(dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(K, H, generator=torch.Generator().manual_seed(9), dtype=dtype).requires_grad_()


def inputs(M: int = 13, R: int = 3, seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """Features, targets and weights of a segment."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(R * M, H, generator=generator, dtype=dtype).requires_grad_()
    targets = torch.softmax(3 * torch.randn(M, K, generator=generator, dtype=dtype), dim=-1)
    return features, targets, torch.rand(M, generator=generator, dtype=dtype)


def segment(features: Tensor, targets: Tensor, weights: Tensor, scale: float = 1.0) -> Segment:
    return Segment(features, dense_rows(targets), weights, scale)


def plain(features: Tensor, targets: Tensor, weights: Tensor, matrix: Tensor) -> Tensor:
    """The definition, with all logits at once."""
    log_p = torch.log_softmax(features @ matrix.T / 0.1, dim=-1).view(-1, *targets.shape)
    return -(weights * (targets * log_p).sum(-1)).sum()


@pytest.mark.parametrize("chunk_elements", [1, 50 * K, 10**9])
@pytest.mark.parametrize(("M", "R"), [(13, 3), (40, 1), (1, 40)])
def test_loss_and_gradients_equal_the_plain_definition(chunk_elements: int, M: int, R: int) -> None:
    (features, targets, weights), matrix = inputs(M, R), prototypes()
    ours = prototype_cross_entropy(segment(features, targets, weights), matrix, 0.1, chunk_elements)
    theirs = plain(features, targets, weights, matrix)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(
        torch.autograd.grad(0.37 * ours, (features, matrix)), torch.autograd.grad(0.37 * theirs, (features, matrix))
    )


@pytest.mark.parametrize("chunk_elements", [1, 10**9])
def test_several_losses_share_one_pass(chunk_elements: int) -> None:
    matrix, parts = prototypes(), [inputs(13, 3, 1), inputs(5, 1, 2), inputs(0, 1, 3)]
    scales = [1.0, 0.5, 2.0]
    segments = [segment(*part, scale=scale) for part, scale in zip(parts, scales, strict=True)]
    total, losses = prototype_cross_entropies(segments, matrix, 0.1, chunk_elements)
    expected = [plain(*part, matrix) if len(part[0]) else torch.zeros((), dtype=torch.float64) for part in parts]
    torch.testing.assert_close(losses, [loss.detach() for loss in expected])
    summed = torch.stack([scale * loss for scale, loss in zip(scales, expected, strict=True)]).sum()
    torch.testing.assert_close(total, summed)
    leaves = [matrix, parts[0][0], parts[1][0]]
    torch.testing.assert_close(torch.autograd.grad(total, leaves), torch.autograd.grad(summed, leaves))


def test_frozen_prototypes_and_frozen_features() -> None:
    (features, targets, weights), matrix = inputs(), prototypes()
    expected = torch.autograd.grad(plain(features, targets, weights, matrix), (features, matrix))
    only_features = prototype_cross_entropy(segment(features, targets, weights), matrix.detach())
    torch.testing.assert_close(torch.autograd.grad(only_features, features)[0], expected[0])
    only_matrix = prototype_cross_entropy(segment(features.detach(), targets, weights), matrix)
    torch.testing.assert_close(torch.autograd.grad(only_matrix, matrix)[0], expected[1])
    with torch.no_grad():
        assert not prototype_cross_entropy(segment(features, targets, weights), matrix).requires_grad


def test_no_rows_give_zero_and_no_gradient() -> None:
    matrix = prototypes()
    loss = prototype_cross_entropy(segment(*inputs(M=0)), matrix)
    loss.backward()
    assert loss.item() == 0.0
    assert matrix.grad is not None
    assert matrix.grad.abs().sum() == 0


def test_half_precision_features_are_summed_in_float32() -> None:
    (features, targets, weights), matrix = inputs(dtype=torch.float32), prototypes(torch.float32)
    half = prototype_cross_entropy(segment(features.bfloat16(), targets, weights), matrix.bfloat16())
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(plain(features, targets, weights, matrix).item(), rel=0.02)


def test_autocast_decides_the_products_alone() -> None:
    (features, targets, weights), matrix = inputs(dtype=torch.float32), prototypes(torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = prototype_cross_entropy(segment(features, targets, weights), matrix)
    assert loss.dtype == torch.float32
    loss.backward()
    assert features.grad is not None
    assert features.grad.dtype == torch.float32
    expected = plain(features, targets, weights, matrix)
    assert loss.item() == pytest.approx(expected.item(), rel=0.02)
    (gradient,) = torch.autograd.grad(expected, matrix)
    assert matrix.grad is not None
    assert (matrix.grad - gradient).norm() < 0.02 * gradient.norm()


def test_mean_and_shifted_rows() -> None:
    table = torch.arange(12.0).view(6, 2)
    both = mean_rows(dense_rows(table), views=2, images=3)
    assert torch.equal(both(0, 3), (table[:3] + table[3:]) / 2)
    assert torch.equal(table, torch.arange(12.0).view(6, 2))
    assert torch.equal(shifted_rows(dense_rows(table), 4)(0, 2), table[4:])
