"""A backbone carried to another resolution keeps its weights; only the position table is resampled."""

from __future__ import annotations

import torch

from trainer.models.resize_positions import resized_positions
from trainer.models.sizes import build_vit


def test_weights_load_at_another_resolution() -> None:
    small, large = build_vit("vitn8", image_size=32), build_vit("vitn8", image_size=64)
    state = resized_positions({f"backbone.{k}": v for k, v in small.state_dict().items()}, 64, 8)
    large.load_state_dict({k.removeprefix("backbone."): v for k, v in state.items()})
    assert torch.equal(large.blocks[3].mlp.fc1.weight, small.blocks[3].mlp.fc1.weight)
    assert torch.equal(large.pos_embed[:, 0], small.pos_embed[:, 0])
    from trainer.layers.position_table import RESAMPLINGS, resample_position_table

    expected = resample_position_table(small.pos_embed, (8, 8), RESAMPLINGS["huggingface"])
    torch.testing.assert_close(large.pos_embed, expected)
