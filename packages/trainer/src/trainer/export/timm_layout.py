"""timm's way of holding the same weights: no mask token, and with registers a class token that has its position inside.

Dimensions: N patches, R registers, D width.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from trainer.export.name_maps import TIMM, TIMM_SWIGLU


def to_timm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Official tensors as timm holds them. The mask token has no place there and is left out."""
    tensors = {name: tensor for name, tensor in state.items() if name != "mask_token"}
    if "register_tokens" in tensors:
        table = tensors["pos_embed"]
        tensors["cls_token"] = tensors["cls_token"] + table[:, :1]
        tensors["pos_embed"] = table[:, 1:].contiguous()
    swiglu = any(".mlp.w12." in name for name in tensors)
    return (TIMM_SWIGLU if swiglu else TIMM).to_foreign(tensors)


def from_timm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """timm's tensors under official names; a mask token of zeros is added, a classifier is left out."""
    tensors = {name: tensor for name, tensor in state.items() if not name.startswith(("head.", "head_drop."))}
    first, second = tensors.get("blocks.0.mlp.fc1.weight"), tensors.get("blocks.0.mlp.fc2.weight")
    swiglu = first is not None and second is not None and first.shape[0] == 2 * second.shape[1]
    official = (TIMM_SWIGLU if swiglu else TIMM).to_official(tensors)
    if "register_tokens" in official:
        table = official["pos_embed"]
        official["pos_embed"] = torch.cat([table.new_zeros(1, 1, table.shape[-1]), table], dim=1)
    official["mask_token"] = official["cls_token"].new_zeros(1, official["cls_token"].shape[-1])
    return official
