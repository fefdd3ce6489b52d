"""Conventions of resampling differ where they should and agree where they must."""

from __future__ import annotations

import pytest
import torch

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


def test_the_official_offset_moves_the_sampling_grid() -> None:
    grid = TABLE[:, 1:].reshape(1, 16, 16, 6).permute(0, 3, 1, 2)
    expected = (
        torch.nn.functional.interpolate(grid, scale_factor=(7.1 / 16, 7.1 / 16), mode="bicubic")
        .permute(0, 2, 3, 1)
        .flatten(1, 2)
    )
    assert torch.equal(resample_position_table(TABLE, (7, 7), RESAMPLINGS["official"])[:, 1:], expected)


def test_an_unknown_convention_is_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean 'huggingface'"):
        resampling_named("hugging_face")
