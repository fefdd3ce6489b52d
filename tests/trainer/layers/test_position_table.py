"""Conventions of resampling differ where they should and agree where they must."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from contracts.errors import ConfigError
from trainer.layers.position_table import RESAMPLINGS, resample_position_table, resampling_named

TABLE = torch.randn(1, 1 + 16 * 16, 6, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", sorted(RESAMPLINGS))
def test_the_native_grid_is_left_alone(name: str) -> None:
    assert resample_position_table(TABLE, (16, 16), resampling_named(name)) is TABLE


@pytest.mark.parametrize("grid", [(7, 7), (5, 9), (20, 20), (4, 64)])
@pytest.mark.parametrize("name", sorted(RESAMPLINGS))
def test_shapes_and_the_class_position(name: str, grid: tuple[int, int]) -> None:
    out = resample_position_table(TABLE, grid, resampling_named(name))
    assert out.shape == (1, 1 + grid[0] * grid[1], 6)
    assert torch.equal(out[:, 0], TABLE[:, 0])


def test_conventions_differ_off_the_native_grid() -> None:
    tables = {name: resample_position_table(TABLE, (7, 7), RESAMPLINGS[name]) for name in RESAMPLINGS}
    assert torch.equal(tables["timm"], tables["official_registers"])
    assert (tables["official"] - tables["huggingface"]).abs().max() > 1e-2
    assert (tables["timm"] - tables["huggingface"]).abs().max() > 1e-2


def cubic(x: float, a: float) -> float:
    """The cubic convolution kernel. Source: Keys (1981), eq. 15 for a = -1/2; torch takes -3/4 without antialiasing."""
    x = abs(x)
    if x < 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return a * (((x - 5) * x + 8) * x - 4) if x < 2 else 0.0


def mixture(side: int, out: int, step: float, antialias: bool) -> Tensor:
    """What every output takes of every input, `step` input places apart. Shapes: [out, side]."""
    found = torch.zeros(out, side, dtype=torch.float64)
    for row, weights in enumerate(found):
        centre = (row + 0.5) * step
        if antialias:
            width = max(step, 1.0)
            for place in range(side):
                weights[place] = cubic((place + 0.5 - centre) / width, -0.5)
            weights /= weights.sum()
        else:
            nearest = math.floor(centre - 0.5)
            for place in range(nearest - 1, nearest + 3):
                weights[min(max(place, 0), side - 1)] += cubic(centre - 0.5 - place, -0.75)
    return found


@pytest.mark.parametrize("grid", [(7, 7), (5, 9), (20, 20), (4, 64), (16, 11), (37, 3)])
@pytest.mark.parametrize(
    ("name", "offset", "antialias"),
    [("official", 0.1, False), ("official_registers", 0, True), ("huggingface", 0, False), ("timm", 0, True)],
)
def test_each_convention_is_the_bicubic_mixture_it_names(
    name: str, offset: float, antialias: bool, grid: tuple[int, int]
) -> None:
    table = TABLE.double()
    rows, columns = (mixture(16, n, 16 / (n + offset), antialias) for n in grid)
    wanted = torch.einsum("hi,wj,ijd->hwd", rows, columns, table[0, 1:].unflatten(0, (16, 16))).flatten(0, 1)
    ours = resample_position_table(table, grid, RESAMPLINGS[name])
    torch.testing.assert_close(ours[0, 1:], wanted, atol=1e-12, rtol=0)
    single = resample_position_table(TABLE, grid, RESAMPLINGS[name])
    assert single.dtype == torch.float32
    torch.testing.assert_close(single[0, 1:].double(), wanted, atol=1e-5, rtol=0)


def test_an_unknown_convention_is_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean 'huggingface'"):
        resampling_named("hugging_face")
