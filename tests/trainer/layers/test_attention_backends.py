"""Every backend that runs here gives the same attention, and the others say what they need."""

from __future__ import annotations

import importlib.util

import pytest
import torch

from contracts.errors import ConfigError, MissingInput
from trainer.layers.attention_backends import ATTENTION_BACKENDS, attention_backend, check_backend, varlen_flash
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


def test_a_plan_can_ask_beforehand() -> None:
    for name in ("sdpa", "nested"):
        check_backend(name, "cpu", "fp32")
    with pytest.raises(ConfigError, match=r"found torch\.float32 on cuda"):
        check_backend("varlen", "cuda", "fp32")
    check_backend("varlen", "cuda", "bf16")


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["nested", "varlen", "xformers"])
def test_backends_agree_on_a_gpu_in_half_precision(name: str) -> None:
    """Forward and backward against SDPA on the layout of a recipe, at its head width; errors are those of bfloat16."""
    if name == "xformers":
        pytest.importorskip("xformers")
    layout = PackedLayout(((4, 257), (16, 50)))
    generator = torch.Generator().manual_seed(0)
    made = [torch.randn(layout.rows, 6, 64, generator=generator).bfloat16().cuda() for _ in range(3)]
    weight = torch.randn(layout.rows, 6, 64, generator=generator).bfloat16().cuda()

    def run(backend: str) -> list[torch.Tensor]:
        leaves = [x.clone().requires_grad_() for x in made]
        out = ATTENTION_BACKENDS[backend](*leaves, layout)
        return [out, *torch.autograd.grad((out * weight).sum(), leaves)]

    for found, expected in zip(run(name), run("sdpa"), strict=True):
        assert (found - expected).float().norm() < 0.01 * expected.float().norm()


@pytest.mark.skipif(importlib.util.find_spec("xformers") is not None, reason="xformers is installed")
def test_xformers_says_how_to_install_it() -> None:
    with pytest.raises(MissingInput, match="winnow-trainer\\[xformers\\]"):
        ATTENTION_BACKENDS["xformers"](*qkv(), LAYOUT)
