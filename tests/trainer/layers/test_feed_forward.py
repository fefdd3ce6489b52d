"""Feed-forward layers: hidden widths and what they compute."""

from __future__ import annotations

import pytest
import torch

from contracts.errors import ConfigError
from trainer.layers.feed_forward import Mlp, SwiGlu, build_feed_forward, swiglu_hidden_dim


@pytest.mark.parametrize(("dim", "hidden"), [(384, 1024), (768, 2048), (1024, 2736), (1536, 4096), (112, 304)])
def test_hidden_width_of_swiglu(dim: int, hidden: int) -> None:
    assert swiglu_hidden_dim(dim, 4.0) == hidden


def test_swiglu_gates_the_second_half_by_the_first() -> None:
    layer, x = SwiGlu(8, 4.0), torch.randn(3, 8)
    first, second = torch.nn.functional.linear(x, layer.w12.weight, layer.w12.bias).split(
        swiglu_hidden_dim(8, 4.0), dim=-1
    )
    torch.testing.assert_close(layer(x), layer.w3(first * torch.sigmoid(first) * second))


def test_mlp_uses_the_exact_gelu() -> None:
    layer, x = Mlp(8, 4.0), torch.randn(3, 8) * 3
    hidden = layer.fc1(x)
    exact = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))
    torch.testing.assert_close(layer(x), layer.fc2(exact))


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean 'swiglu'"):
        build_feed_forward("swigluu", 8, 4.0)
