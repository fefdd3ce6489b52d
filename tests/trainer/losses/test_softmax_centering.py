"""The center lags one step, survives a resume, and is untouched by a skipped step."""

from __future__ import annotations

import torch

from trainer.losses.softmax_centering import SoftmaxCentering


def rows(step: int, count: int = 5) -> torch.Tensor:
    return torch.randn(count, 6, generator=torch.Generator().manual_seed(step))


def test_targets_are_rows_of_the_softmax_around_the_center() -> None:
    centering = SoftmaxCentering(6)
    centering.center.copy_(rows(9, 1))
    targets = centering.targets(rows(0), torch.eye(6), 0.1)
    expected = torch.softmax((rows(0) - rows(9, 1)) / 0.1, dim=-1)
    torch.testing.assert_close(targets(1, 4), expected[1:4])


def test_the_own_batch_does_not_move_the_own_center() -> None:
    centering = SoftmaxCentering(6, momentum=0.9)
    for step, expected in enumerate([torch.zeros(6), 0.1 * rows(0).mean(0)]):
        centering.targets(rows(step), torch.eye(6), 0.1)
        torch.testing.assert_close(centering.center[0], expected)
        centering.commit()


def test_a_skipped_step_leaves_no_trace() -> None:
    kept, skipping = SoftmaxCentering(6), SoftmaxCentering(6)
    for centering in (kept, skipping):
        centering.targets(rows(0), torch.eye(6), 0.1)
        centering.commit()
    skipping.targets(rows(1) * torch.nan, torch.eye(6), 0.1)
    for centering in (kept, skipping):
        centering.targets(rows(2), torch.eye(6), 0.1)
        centering.commit()
    torch.testing.assert_close(kept.center, skipping.center)
    torch.testing.assert_close(kept.pending, skipping.pending)


def test_the_pending_mean_is_part_of_the_state() -> None:
    straight = SoftmaxCentering(6)
    straight.targets(rows(0), torch.eye(6), 0.1)
    straight.commit()
    resumed = SoftmaxCentering(6)
    resumed.load_state_dict(straight.state_dict())
    for centering in (straight, resumed):
        centering.targets(rows(1), torch.eye(6), 0.1)
    assert straight.center.abs().sum() > 0
    assert torch.equal(straight.center, resumed.center)


def test_a_batch_without_rows_leaves_the_center() -> None:
    centering = SoftmaxCentering(6)
    centering.targets(rows(0)[:0], torch.eye(6), 0.1)
    centering.commit()
    centering.targets(rows(0), torch.eye(6), 0.1)
    assert centering.center.abs().max() == 0
