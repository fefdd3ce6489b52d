"""Sinkhorn-Knopp balances prototypes, equals the plain formulation, and survives what breaks it."""

from __future__ import annotations

import pytest
import torch
from tests.ranks_together import run_ranks
from torch import Tensor

from trainer.losses.sinkhorn_knopp import sinkhorn_knopp, sinkhorn_targets


def plain(logits: Tensor, temp: float, iterations: int = 3) -> Tensor:
    """The published pseudo-code, in float64."""
    Q = torch.exp(logits.double() / temp).T
    K, B = Q.shape
    Q /= Q.sum()
    for _ in range(iterations):
        Q /= Q.sum(1, keepdim=True) * K
        Q /= Q.sum(0, keepdim=True) * B
    return (Q * B).T


def logits(rows: int = 40, K: int = 24, scale: float = 0.3) -> Tensor:
    return scale * torch.randn(rows, K, generator=torch.Generator().manual_seed(0))


def test_equals_the_plain_formulation() -> None:
    for temp in (0.04, 0.07):
        torch.testing.assert_close(sinkhorn_knopp(logits(), temp).double(), plain(logits(), temp), atol=1e-6, rtol=1e-4)


def test_many_iterations_share_the_rows_equally_among_prototypes() -> None:
    targets = sinkhorn_knopp(logits(), 0.1, iterations=200)
    torch.testing.assert_close(targets.sum(1), torch.ones(40))
    torch.testing.assert_close(targets.sum(0), torch.full((24,), 40 / 24), rtol=1e-3, atol=1e-3)


def test_large_logits_do_not_overflow() -> None:
    large = logits(scale=3.0)
    large[0, 0] = 8.0
    assert not torch.isfinite(torch.exp(large / 0.04)).all()
    torch.testing.assert_close(sinkhorn_knopp(large, 0.04).double(), plain(large - 8, 0.04), atol=1e-5, rtol=1e-3)


def test_a_prototype_that_no_row_is_near_stays_finite() -> None:
    distant = logits()
    distant[:, 3] -= 10.0
    targets = sinkhorn_knopp(distant, 0.04)
    assert torch.isfinite(targets).all()
    # A constant added to a prototype's logits is undone by the balancing.
    torch.testing.assert_close(targets, sinkhorn_knopp(logits(), 0.04), atol=1e-4, rtol=1e-2)


def test_logits_of_the_caller_are_left_alone() -> None:
    given = logits()
    sinkhorn_knopp(given, 0.04)
    assert torch.equal(given, logits())


@pytest.mark.parametrize("rows", [40, 17, 1])
def test_targets_in_chunks_are_the_same(rows: int) -> None:
    torch.manual_seed(1)
    features = torch.nn.functional.normalize(torch.randn(rows, 8), dim=-1)
    prototypes = torch.nn.functional.normalize(torch.randn(30, 8), dim=-1) * 2
    whole = sinkhorn_targets(features, prototypes, 0.05)
    chunked = sinkhorn_targets(features, prototypes, 0.05, held_elements=29)
    torch.testing.assert_close(chunked(0, rows), whole(0, rows), atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(chunked(rows // 2, rows), whole(rows // 2, rows), atol=1e-6, rtol=1e-4)


def in_logarithms(logits: Tensor, temp: float, iterations: int = 3) -> Tensor:
    """The same iterations in float64 on logarithms, where nothing can overflow or vanish."""
    z = logits.double() / temp
    of_prototypes, of_rows = z.new_zeros(z.shape[1]), z.new_zeros(z.shape[0])
    for _ in range(iterations):
        of_prototypes = -torch.logsumexp(z + of_rows[:, None], 0)
        of_rows = -torch.logsumexp(z + of_prototypes, 1)
    return (z + of_prototypes + of_rows[:, None]).exp()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [0.3, 10.0, 300.0])
def test_half_precision_and_large_logits_give_the_targets_of_float64(scale: float, dtype: torch.dtype) -> None:
    given = logits(scale=scale).to(dtype)
    if scale > 1:
        assert not torch.isfinite(torch.exp(given.float() / 0.04)).all()
    targets = sinkhorn_knopp(given, 0.04)
    assert targets.dtype == torch.promote_types(dtype, torch.float32)
    torch.testing.assert_close(targets.double(), in_logarithms(given, 0.04), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("held", [10_000, 7])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_features_in_half_precision_may_reach_its_largest_numbers(dtype: torch.dtype, held: int) -> None:
    features = torch.nn.functional.normalize(logits(), dim=-1).to(dtype)
    targets = sinkhorn_targets(features, (6e4 * torch.eye(24)).to(dtype), 0.04, held_elements=held)(0, 40)
    torch.testing.assert_close(targets.sum(1), torch.ones(40))
    small = sinkhorn_targets(features, (2 * torch.eye(24)).to(dtype), 0.04, held_elements=held)(0, 40)
    torch.testing.assert_close(small.double(), in_logarithms(2 * features, 0.04), atol=1e-5, rtol=1e-4)


PARTS = (17, 0, 22, 1)


def compare_rank(rank: int) -> None:
    first, last = sum(PARTS[:rank]), sum(PARTS[: rank + 1])
    for scale in (0.3, 10.0):  # the second overflows without care
        rows = logits(scale=scale)
        for held in (10_000, 7):
            ours = sinkhorn_targets(rows[first:last], torch.eye(24), 0.05, held_elements=held)(0, last - first)
            alone = in_logarithms(rows, 0.05)[first:last]
            torch.testing.assert_close(ours.double(), alone, atol=1e-5, rtol=1e-4)


def test_four_ranks_with_uneven_rows_give_the_targets_of_the_whole_batch() -> None:
    """One of them has no row at all. The ranks compare; what fails in one of them is raised here."""
    run_ranks(len(PARTS), compare_rank)
