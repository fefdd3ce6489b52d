"""Packed rows can be taken apart again, group by group."""

from __future__ import annotations

import torch

from trainer.layers.packing import PackedLayout, pack


def test_groups_come_back_from_the_packed_matrix() -> None:
    groups = [torch.randn(3, 5, 4), torch.randn(7, 2, 4)]
    packed, layout = pack(groups)
    assert packed.shape == (3 * 5 + 7 * 2, 4)
    assert layout.rows == 29
    assert layout.sequence_lengths == [5] * 3 + [2] * 7
    for group, back in zip(groups, layout.split(packed), strict=True):
        assert torch.equal(group, back)


def test_tables_are_repeated_for_every_sample_of_their_group() -> None:
    layout = PackedLayout(((2, 3), (1, 2)))
    first, second = torch.arange(3.0)[:, None], torch.arange(10.0, 12.0)[:, None]
    assert layout.expand_rows([first, second]).squeeze(1).tolist() == [0, 1, 2, 0, 1, 2, 10, 11]
