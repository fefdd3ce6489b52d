"""Tokens of a batch and where its class tokens look in the last block, in one pass.

Dimensions: B images, H heads, h * w patches, T tokens of an image, d head width.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from trainer.layers.attention import Attention, PackedContext
from trainer.layers.rope import rotate
from trainer.models.vision_transformer import Features, VisionTransformer


@torch.no_grad()
def tokens_and_attention(backbone: nn.Module, images: Tensor) -> tuple[Features, Tensor | None]:
    """Features of square images, and the class token's attention to their patches; none of a foreign backbone.

    Shapes: [B, C, S, S] -> features, [B, H, h, h]; over all tokens of an image the attention of a head sums to 1.
    """
    if not isinstance(backbone, VisionTransformer):
        return cast(Features, backbone(images)), None
    seen: list[tuple[Tensor, PackedContext]] = []
    last = cast(Attention, cast(Any, backbone.blocks[-1]).attn)
    handle = last.register_forward_pre_hook(lambda _, given: seen.append(given))
    try:
        features = backbone(images)
    finally:
        handle.remove()
    [(x, context)] = seen
    q, k, _ = last.qkv(x).unflatten(-1, (3, last.num_heads, -1)).unbind(1)
    if context.rotary is not None:
        q, k = rotate(q, context.rotary), rotate(k, context.rotary)
    [q], [k] = context.layout.split(q.float()), context.layout.split(k.float())
    logits = torch.einsum("bhd,bthd->bht", q[:, 0], k) / q.shape[-1] ** 0.5
    patches = logits.softmax(-1)[..., backbone.prefix_tokens :]
    side = images.shape[-1] // backbone.patch_size
    return features, patches.unflatten(-1, (side, side))
