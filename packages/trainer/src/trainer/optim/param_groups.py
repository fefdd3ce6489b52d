"""Parameter groups: layerwise learning-rate decay, what is not decayed, and which parameters are the last layer.

Source: the released DINOv2 training code; layerwise decay: BEiT (arXiv 2106.08254), appendix.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import nn

_EMBEDDINGS = ("pos_embed", "patch_embed", "mask_token", "cls_token", "register_tokens")


@dataclass(frozen=True)
class Rates:
    """How a parameter's learning rate and weight decay relate to those of the step."""

    lr_multiplier: float
    wd_multiplier: float
    is_last_layer: bool


@dataclass(frozen=True)
class GroupSettings:
    """`layerwise_decay` is the factor per block from the output down; `depth` the number of blocks."""

    depth: int
    layerwise_decay: float = 0.9
    patch_embed_multiplier: float = 0.2


def backbone_rates(name: str, settings: GroupSettings) -> Rates:
    """Rates of a backbone parameter: embeddings are layer 0, block i is layer i + 1, the final norm is depth + 1."""
    block = re.match(r"blocks\.(\d+)\.", name)
    if name.startswith(_EMBEDDINGS):
        layer = 0
    elif block:
        layer = int(block[1]) + 1
    else:
        layer = settings.depth + 1
    multiplier = settings.layerwise_decay ** (settings.depth + 1 - layer)
    if name.startswith("patch_embed"):
        multiplier *= settings.patch_embed_multiplier
    return Rates(multiplier, _weight_decay_multiplier(name), is_last_layer=False)


def head_rates(name: str) -> Rates:
    """Rates of a head parameter; the prototypes are the last layer, whose learning rate is zero at first."""
    return Rates(1.0, _weight_decay_multiplier(name), is_last_layer="last_layer" in name)


def _weight_decay_multiplier(name: str) -> float:
    """Biases, norms and LayerScale are not decayed; tokens, positions and prototype lengths are."""
    return 0.0 if name.endswith("bias") or "norm" in name or "gamma" in name else 1.0


def fused_groups(parameters: Iterable[tuple[nn.Parameter, Rates]]) -> list[dict[str, Any]]:
    """One AdamW group per distinct rates, in order of first appearance; frozen parameters are left out."""
    groups: dict[Rates, dict[str, Any]] = {}
    for parameter, rates in parameters:
        if parameter.requires_grad:
            group = groups.setdefault(rates, {"params": [], **vars(rates)})
            group["params"].append(parameter)
    return list(groups.values())


def parameter_groups(modules: nn.ModuleDict, settings: GroupSettings) -> list[dict[str, Any]]:
    """Groups of a backbone ("backbone") and any heads (other names), module by module."""
    groups: list[dict[str, Any]] = []
    for key, module in modules.items():
        named = module.named_parameters()
        if key == "backbone":
            groups += fused_groups((p, backbone_rates(name, settings)) for name, p in named)
        else:
            groups += fused_groups((p, head_rates(name)) for name, p in named)
    return groups
