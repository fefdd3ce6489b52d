"""The Gram loss compares patch similarities, not features."""

from __future__ import annotations

import torch

from trainer.losses.gram import gram_loss


def test_rotated_and_scaled_features_are_the_same() -> None:
    patches = torch.randn(2, 5, 8)
    rotation = torch.linalg.qr(torch.randn(8, 8)).Q
    assert gram_loss(patches, 3 * patches @ rotation).item() < 1e-10
    assert gram_loss(patches, torch.randn(2, 5, 8)).item() > 1e-3


def test_equals_the_definition_per_image() -> None:
    a, b = torch.randn(2, 4, 6), torch.randn(2, 4, 3)
    total = 0.0
    for image in range(2):
        for i in range(4):
            for j in range(4):
                s = torch.cosine_similarity(a[image, i], a[image, j], dim=0)
                t = torch.cosine_similarity(b[image, i], b[image, j], dim=0)
                total += (s - t).square().item() / 32
    torch.testing.assert_close(gram_loss(a, b), torch.tensor(total))
