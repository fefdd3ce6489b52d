"""Every backend that runs here gives the same attention, and the others say what they need."""

from __future__ import annotations

import importlib.util

import pytest
import torch

from contracts.errors import ConfigError, MissingInput
from trainer.layers.attention_backends import ATTENTION_BACKENDS, attention_backend, varlen_flash
from trainer.layers.packing import PackedLayout

LAYOUT = PackedLayout(((3, 7), (5, 4)))


def qkv() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(LAYOUT.rows, 2, 8, generator=generator, dtype=torch.float64) for _ in range(3)]


def by_hand(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Softmax attention under a mask that lets rows of the same sample see each other."""
    sample = torch.repeat_interleave(torch.arange(8), torch.tensor(LAYOUT.sequence_lengths))
    scores = torch.einsum("thd,shd->hts", q, k) / q.shape[-1] ** 0.5
    scores = scores.masked_fill(sample[:, None] != sample[None], -torch.inf)
    return torch.einsum("hts,shd->thd", scores.softmax(-1), v)


@pytest.mark.parametrize("name", ["sdpa", "nested"])
def test_attention_stays_inside_each_sample(name: str) -> None:
    q, k, v = (x.requires_grad_() for x in qkv())
    out, expected = ATTENTION_BACKENDS[name](q, k, v, LAYOUT), by_hand(q, k, v)
    torch.testing.assert_close(out, expected)
    weight = torch.randn_like(expected)
    ours = torch.autograd.grad((out * weight).sum(), (q, k, v))
    theirs = torch.autograd.grad((expected * weight).sum(), (q, k, v))
    torch.testing.assert_close(ours, theirs)


def test_an_unknown_backend_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="did you mean 'sdpa'"):
        attention_backend("sdp")


def test_varlen_says_that_it_needs_a_gpu() -> None:
    with pytest.raises(ConfigError, match="choose attention=sdpa"):
        varlen_flash(*qkv(), LAYOUT)


@pytest.mark.skipif(importlib.util.find_spec("xformers") is not None, reason="xformers is installed")
def test_xformers_says_how_to_install_it() -> None:
    with pytest.raises(MissingInput, match="winnow-trainer\\[xformers\\]"):
        ATTENTION_BACKENDS["xformers"](*qkv(), LAYOUT)
