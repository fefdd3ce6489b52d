"""Our rotary positions against those of the DINOv3 model in transformers."""

from __future__ import annotations

import torch
from transformers import DINOv3ViTConfig
from transformers.models.dinov3_vit.modeling_dinov3_vit import DINOv3ViTRopePositionEmbedding, apply_rotary_pos_emb

from trainer.layers.rope import AxialRope, RopeSettings, rotate


def test_queries_and_keys_are_turned_by_the_same_angles() -> None:
    config = DINOv3ViTConfig(hidden_size=96, num_attention_heads=3, patch_size=16, rope_theta=100.0)
    theirs = DINOv3ViTRopePositionEmbedding(config).eval()
    ours = AxialRope(32, RopeSettings(base=100.0)).eval()
    generator = torch.Generator().manual_seed(0)
    for rows, columns in ((4, 4), (3, 7)):
        cos, sin = theirs(torch.zeros(1, 3, 16 * rows, 16 * columns))
        tables = ours.tables((rows, columns), prefix=5)
        torch.testing.assert_close(tables.cos[5:], cos, rtol=0, atol=1e-6)
        torch.testing.assert_close(tables.sin[5:], sin, rtol=0, atol=1e-6)
        query, key = torch.randn(2, 1, 3, 5 + rows * columns, 32, generator=generator)
        for given, wanted in zip((query, key), apply_rotary_pos_emb(query, key, cos, sin), strict=True):
            turned = rotate(given[0].transpose(0, 1), tables).transpose(0, 1)[None]
            torch.testing.assert_close(turned, wanted, rtol=0, atol=1e-5)
