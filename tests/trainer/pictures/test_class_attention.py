"""Attention of the class token: what the last block's output projection is given is made of it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from trainer.models.vision_transformer import VisionTransformer, VitSettings
from trainer.pictures.class_attention import tokens_and_attention


@pytest.mark.parametrize("fields", [{}, {"position": "rope"}, {"registers": 2, "depth": 1}])
def test_attention_to_patches_weighs_the_values_that_the_block_mixes(fields: dict[str, object]) -> None:
    """Values are 0 but for the patches, so that the mixture of the class token is made of patches alone."""
    torch.manual_seed(0)
    settings = {"embed_dim": 16, "depth": 2, "num_heads": 2, "patch_size": 4, "image_size": 16, "layer_scale": 1.0}
    backbone = VisionTransformer(VitSettings(**(settings | fields))).eval()  # type: ignore[arg-type]
    for parameter in backbone.parameters():
        nn.init.normal_(parameter, std=0.5)
    last, prefix = backbone.blocks[-1].attn, backbone.prefix_tokens
    given: list[Tensor] = []
    mixed: list[Tensor] = []
    last.qkv.register_forward_hook(lambda _m, _i, out: given.append(out))
    last.proj.register_forward_pre_hook(lambda _m, args: mixed.append(args[0]))
    plain = last.attend

    def patches_alone(q: Tensor, k: Tensor, v: Tensor, layout: object) -> Tensor:
        keep = (torch.arange(prefix + 16) >= prefix).repeat(3)[:, None, None]
        return plain(q, k, v * keep, layout)

    last.attend = patches_alone
    images = torch.randn(3, 3, 16, 16)
    features, attention = tokens_and_attention(backbone, images)
    assert attention is not None and attention.shape == (3, 2, 4, 4)
    values = given[0].view(3, prefix + 16, 3, 2, 8)[:, prefix:, 2]
    wanted = torch.einsum("bhn,bnhd->bhd", attention.flatten(2), values).flatten(1)
    assert torch.allclose(mixed[0].view(3, prefix + 16, 16)[:, 0], wanted, atol=1e-5)
    assert float(attention.sum((2, 3)).max()) < 1
    last.attend = plain
    again, _ = tokens_and_attention(backbone, images)
    assert torch.equal(again.cls, backbone(images).cls)
    assert not torch.equal(again.cls, features.cls)


def test_a_foreign_backbone_gives_no_attention() -> None:
    class Foreign(nn.Module):
        def forward(self, images: Tensor) -> str:
            return f"features of {len(images)} images"

    assert tokens_and_attention(Foreign(), torch.zeros(2, 3, 8, 8)) == ("features of 2 images", None)
