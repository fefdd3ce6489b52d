"""Measures of how alike two models see images, against cases whose answer is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from distill.likeness import linear_cka, mapped_cosine


def test_mapped_cosine_is_one_for_a_linear_image_and_nothing_for_noise() -> None:
    generator = torch.Generator().manual_seed(0)
    x, noise = torch.randn(300, 8, generator=generator), torch.randn(300, 5, generator=generator)
    y = x @ torch.randn(8, 5, generator=generator) + 3
    assert mapped_cosine(x[:200], y[:200], x[200:], y[200:], ridge=1e-6) > 0.999
    assert abs(mapped_cosine(x[:200], noise[:200], x[200:], noise[200:])) < 0.2
    assert mapped_cosine(torch.ones(200, 4), y[:200], torch.ones(100, 4), y[200:]) == 0.0


def random_rows(rows: int, width: int, seed: int = 0) -> Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))


def test_cka_is_one_for_a_rotated_scaled_and_shifted_model() -> None:
    x = random_rows(60, 8)
    rotation = torch.linalg.qr(random_rows(8, 8, seed=1))[0]
    assert linear_cka(x, 3 * x @ rotation + 100) == pytest.approx(1.0, abs=1e-5)
    assert linear_cka(x, torch.ones(60, 4)) == 0.0
    assert math.isnan(linear_cka(x[:3], x[:3]))


def test_cka_of_unrelated_models_is_about_zero_however_wide_they_are() -> None:
    """Without the correction for few images, widths of 500 and 60 images would give about 0.9."""
    found = [linear_cka(random_rows(60, 500, seed), random_rows(60, 500, seed + 50)) for seed in range(20)]
    assert abs(sum(found) / len(found)) < 0.03
    a, b = (random_rows(60, 500, seed) - random_rows(60, 500, seed).mean(0) for seed in (0, 50))
    assert (a.T @ b).pow(2).sum() / ((a.T @ a).norm() * (b.T @ b).norm()) > 0.8


def test_cka_is_the_estimate_from_whole_gram_matrices() -> None:
    """Song et al. (JMLR 13, 2012), equation 4, written out."""
    x, y = random_rows(12, 5), random_rows(12, 3, seed=1) + random_rows(12, 5)[:, :3]

    def hsic(a: Tensor, b: Tensor) -> Tensor:
        k, m = [(side.double() @ side.double().T).fill_diagonal_(0) for side in (a, b)], 12
        mixed = k[0].sum() * k[1].sum() / ((m - 1) * (m - 2)) - 2 / (m - 2) * (k[0] @ k[1]).sum()
        return (torch.trace(k[0] @ k[1]) + mixed) / (m * (m - 3))

    wanted = hsic(x, y) / (hsic(x, x) * hsic(y, y)).sqrt()
    assert linear_cka(x, y) == pytest.approx(float(wanted), abs=1e-9)
