"""KoLeo spreads points and survives duplicates and half precision."""

from __future__ import annotations

import pytest
import torch
from tests.ranks_together import run_ranks

from trainer.losses.koleo import koleo_loss


def points(rows: int = 6) -> torch.Tensor:
    return torch.randn(rows, 16, generator=torch.Generator().manual_seed(0))


def test_equals_the_loop_over_points() -> None:
    unit = torch.nn.functional.normalize(points(), dim=-1)
    nearest = [min((unit[i] - unit[j]).norm().item() for j in range(6) if j != i) for i in range(6)]
    expected = -torch.tensor(nearest).log().mean().item()
    assert koleo_loss(points()).item() == pytest.approx(expected, rel=1e-5)


def test_descending_it_spreads_the_points() -> None:
    x = (torch.ones(8, 3) + 0.01 * torch.randn(8, 3, generator=torch.Generator().manual_seed(0))).requires_grad_()
    before = koleo_loss(x).item()
    for _ in range(100):
        (gradient,) = torch.autograd.grad(koleo_loss(x), x)
        x = (x - 0.05 * gradient).detach().requires_grad_()
    assert koleo_loss(x).item() < before - 3


def test_a_near_duplicate_does_not_drown_the_others() -> None:
    x = points()
    x[1] = x[0] + 1e-6 * x[2]
    official = torch.autograd.grad(koleo_loss(x.requires_grad_()), x)[0]
    guarded = torch.autograd.grad(koleo_loss(x, min_distance=1e-4), x)[0]
    assert torch.isfinite(official).all()
    assert official.norm() > 1e3
    assert guarded.norm() < 10
    apart = points()
    torch.testing.assert_close(koleo_loss(apart), koleo_loss(apart, min_distance=1e-4))


def in_float64(x: torch.Tensor, min_distance: float) -> tuple[float, torch.Tensor]:
    """Loss and gradient from the definition in float64: the nearest of the other unit rows."""
    x = x.detach().double().requires_grad_()
    unit = x / x.norm(dim=1, keepdim=True)
    apart = (unit[:, None] - unit[None] + 1e-8).pow(2).sum(-1)
    nearest = (apart.detach() + 10 * torch.eye(len(x), dtype=torch.float64)).argmin(1)
    distances = apart[torch.arange(len(x)), nearest].sqrt()
    loss = -torch.log(distances.clamp_min(min_distance) + 1e-8).mean()
    return loss.item(), torch.autograd.grad(loss, x)[0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("min_distance", [0.0, 1e-4])
def test_half_precision_and_duplicates_give_the_numbers_of_float64(dtype: torch.dtype, min_distance: float) -> None:
    x = (100 * points(12)).to(dtype)
    x[1] = x[0]
    x[5] = 2 * x[4]
    x.requires_grad_()
    loss = koleo_loss(x, min_distance)
    (gradient,) = torch.autograd.grad(loss, x)
    wanted, of_rows = in_float64(x, min_distance)
    assert loss.dtype == torch.float32
    assert gradient.dtype == dtype
    assert torch.isfinite(gradient).all()
    alone = [row for row in range(12) if row not in (0, 1, 4, 5)]  # equal rows: the eps decides, and it is rounded
    assert loss.item() == pytest.approx(wanted, rel=1e-5 if min_distance else 0.05)
    difference = (gradient.double() - of_rows)[alone].norm()
    assert difference < {torch.float16: 2e-3, torch.bfloat16: 1e-2, torch.float32: 1e-5}[dtype] * of_rows[alone].norm()


def test_autocast_does_not_lower_its_precision() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = koleo_loss(points())
    assert torch.equal(inside, koleo_loss(points()))


def compare_rank(rank: int) -> None:
    mine = points().chunk(2)[rank].clone().requires_grad_()
    koleo_loss(mine, distributed=True).backward()
    whole = points().requires_grad_()
    (2 * koleo_loss(whole)).backward()  # the mean over ranks of the local means is the mean over all points
    assert mine.grad is not None
    assert whole.grad is not None
    torch.testing.assert_close(mine.grad, whole.grad.chunk(2)[rank], atol=1e-5, rtol=1e-4)


def test_neighbours_on_other_ranks_are_found() -> None:
    """The ranks compare; what fails in one of them is raised here."""
    run_ranks(2, compare_rank)
