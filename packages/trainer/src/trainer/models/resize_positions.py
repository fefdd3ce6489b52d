"""Carry weights to another training resolution: the learned position table is resampled once, all else is kept."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from trainer.layers.position_table import RESAMPLINGS, resample_position_table


def resized_positions(state: Mapping[str, Tensor], image_size: int, patch_size: int) -> dict[str, Tensor]:
    """A backbone's state dict with its position table at another resolution.

    Every entry whose name ends in "pos_embed" is resampled (bicubic, exact size, no antialias); keys keep their prefix.
    """
    grid = (image_size // patch_size, image_size // patch_size)
    plain = RESAMPLINGS["huggingface"]
    return {
        name: resample_position_table(value, grid, plain) if name.split(".")[-1] == "pos_embed" else value
        for name, value in state.items()
    }
