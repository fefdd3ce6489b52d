"""KoLeo spreads points and survives duplicates and half precision."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

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


def test_float16_duplicates_stay_finite() -> None:
    x = points().half()
    x[1] = x[0]
    x.requires_grad_()
    loss = koleo_loss(x, min_distance=1e-4)
    loss.backward()
    assert loss.dtype == torch.float32
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


def test_autocast_does_not_lower_its_precision() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = koleo_loss(points())
    assert torch.equal(inside, koleo_loss(points()))


def _rank(rank: int, port: int) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    mine = points().chunk(2)[rank].clone().requires_grad_()
    koleo_loss(mine, distributed=True).backward()
    whole = points().requires_grad_()
    (2 * koleo_loss(whole)).backward()  # the mean over ranks of the local means is the mean over all points
    assert mine.grad is not None
    assert whole.grad is not None
    torch.testing.assert_close(mine.grad, whole.grad.chunk(2)[rank], atol=1e-5, rtol=1e-4)
    dist.destroy_process_group()


@pytest.mark.slow
def test_neighbours_on_other_ranks_are_found() -> None:
    """The ranks compare; what fails in one of them is raised here."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    mp.spawn(_rank, args=(port,), nprocs=2)
