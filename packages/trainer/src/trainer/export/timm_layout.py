"""timm's way of holding the same weights: no mask token, and with registers a class token that has its position inside.

Dimensions: N patches, R registers, D width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from contracts.model_folder import CONFIG_FILE
from contracts.publish import read_json
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


@dataclass(frozen=True)
class TimmFolder:
    """What the config.json of a folder that timm saved says beside the weights; None where it says nothing."""

    num_heads: int | None
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None


def timm_folder(folder: Path) -> TimmFolder | None:
    """What a folder of timm says (timm.models.save_for_hf, a timm id of the hub); None for any other folder."""
    file = folder / CONFIG_FILE
    config = read_json(file) if file.is_file() else None
    if not isinstance(config, dict) or "architecture" not in config or "model_type" in config:
        return None
    said = config.get("pretrained_cfg") or {}
    mean, std = (tuple(map(float, said[name])) if name in said else None for name in ("mean", "std"))
    return TimmFolder((config.get("model_args") or {}).get("num_heads"), mean, std)
