"""The table of model sizes and the names of architectures: "vits14" is size "vits" with patches of 14 px."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from contracts.errors import ConfigError, nearest_name
from trainer.models.vision_transformer import VisionTransformer, VitSettings

PATCH_SIZES = (4, 8, 14, 16)


@dataclass(frozen=True)
class ModelSize:
    """Width, depth, feed-forward kind. Source: DINOv2 (arXiv 2304.07193), Table 17; vitp, vitn, vitti are ours."""

    embed_dim: int
    depth: int
    num_heads: int
    ffn: str = "mlp"


MODEL_SIZES: dict[str, ModelSize] = {
    "vitp": ModelSize(embed_dim=64, depth=4, num_heads=1),
    "vitn": ModelSize(embed_dim=128, depth=4, num_heads=2),
    "vitti": ModelSize(embed_dim=192, depth=12, num_heads=3),
    "vits": ModelSize(embed_dim=384, depth=12, num_heads=6),
    "vitb": ModelSize(embed_dim=768, depth=12, num_heads=12),
    "vitl": ModelSize(embed_dim=1024, depth=24, num_heads=16),
    "vitg": ModelSize(embed_dim=1536, depth=40, num_heads=24, ffn="swiglu"),
}


@dataclass(frozen=True)
class ArchSpec:
    """A parsed architecture name: the size's fields and the patch size."""

    name: str
    size: ModelSize
    patch_size: int


def parse_arch(name: str) -> ArchSpec:
    """Read "vits14", "vitn4", "vitg14", ...

    Errors: ConfigError with the nearest known name.
    """
    match = re.fullmatch(r"(vit[a-z]+)/?(\d+)", name)
    known = [f"{size}{patch}" for size in MODEL_SIZES for patch in PATCH_SIZES]
    if match is None or match[1] not in MODEL_SIZES or int(match[2]) not in PATCH_SIZES:
        raise ConfigError(f"Unknown architecture {name!r}; {nearest_name(name, known)}")
    return ArchSpec(name=f"{match[1]}{match[2]}", size=MODEL_SIZES[match[1]], patch_size=int(match[2]))


def vit_settings(arch: str | ArchSpec, **fields: Any) -> VitSettings:
    """The settings of an architecture; `fields` override or complete the table (image_size, registers, ...)."""
    spec = parse_arch(arch) if isinstance(arch, str) else arch
    table: dict[str, Any] = {
        "embed_dim": spec.size.embed_dim,
        "depth": spec.size.depth,
        "num_heads": spec.size.num_heads,
        "ffn": spec.size.ffn,
        "patch_size": spec.patch_size,
    }
    return VitSettings(**(table | fields))


def build_vit(arch: str | ArchSpec, **fields: Any) -> VisionTransformer:
    """A freshly initialised backbone: build_vit("vits14", image_size=224, registers=4)."""
    return VisionTransformer(vit_settings(arch, **fields))
