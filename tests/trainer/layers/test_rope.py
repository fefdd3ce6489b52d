"""Rotations encode relative places, leave prefix tokens alone, and are distorted in training only."""

from __future__ import annotations

import torch

from trainer.layers.rope import AxialRope, RopeSettings, patch_coordinates, rotate


def test_prefix_tokens_are_not_rotated() -> None:
    tables = AxialRope(16, RopeSettings()).eval().tables((3, 2), prefix=5)
    x = torch.randn(5 + 6, 2, 16)
    turned = rotate(x, tables)
    assert torch.equal(turned[:5], x[:5])
    assert (turned[5:] - x[5:]).abs().max() > 0.1
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))


def test_scores_depend_on_the_offset_alone() -> None:
    tables = AxialRope(16, RopeSettings()).eval().tables((4, 4), prefix=0)
    q, k = torch.randn(1, 1, 16).expand(16, 1, 16), torch.randn(1, 1, 16).expand(16, 1, 16)
    scores = (rotate(q, tables)[:, 0] @ rotate(k, tables)[:, 0].T).reshape(4, 4, 4, 4)
    torch.testing.assert_close(scores[0, 0, 1, 2], scores[2, 1, 3, 3])
    assert (scores[0, 0, 1, 2] - scores[0, 0, 2, 1]).abs() > 1e-4


def test_coordinates_are_patch_centres_per_axis() -> None:
    coords = patch_coordinates((2, 4), torch.zeros(1))
    assert coords[:, 0].tolist() == [-0.5] * 4 + [0.5] * 4
    assert coords[:4, 1].tolist() == [-0.75, -0.25, 0.25, 0.75]


def test_distortions_are_drawn_in_training_only() -> None:
    rope = AxialRope(16, RopeSettings(shift=0.1, jitter=1.5, rescale=2.0))
    plain = AxialRope(16, RopeSettings()).tables((3, 3), prefix=1)
    assert torch.equal(rope.eval().tables((3, 3), prefix=1).cos, plain.cos)
    rope.train()
    first = rope.tables((3, 3), prefix=1, generator=torch.Generator().manual_seed(0))
    again = rope.tables((3, 3), prefix=1, generator=torch.Generator().manual_seed(0))
    other = rope.tables((3, 3), prefix=1, generator=torch.Generator().manual_seed(1))
    assert torch.equal(first.cos, again.cos)
    assert not torch.equal(first.cos, other.cos)
    assert not torch.equal(first.cos, plain.cos)


def test_each_distortion_stays_within_its_bound() -> None:
    plain = patch_coordinates((4, 4), torch.zeros(1))
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        shifted = AxialRope(8, RopeSettings(shift=0.2))._distorted(plain, generator) - plain
        assert shifted.abs().max() <= 0.2
        ratio = AxialRope(8, RopeSettings(jitter=1.5))._distorted(plain, generator) / plain
        assert ratio.min() >= 1 / 1.5 - 1e-6
        assert ratio.max() <= 1.5 + 1e-6
        both = AxialRope(8, RopeSettings(rescale=2.0))._distorted(plain, generator) / plain
        torch.testing.assert_close(both, both[0, 0].expand_as(both))
