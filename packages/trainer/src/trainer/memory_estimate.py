"""How much memory a training step takes, from sizes alone, and how many images fit a device at once.

Dimensions: T student tokens of a forward pass, D width, H hidden width of the feed-forward layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import psutil
import torch

from trainer.config.pretrain import PretrainConfig
from trainer.layers.feed_forward import swiglu_hidden_dim
from trainer.models.vision_transformer import VitSettings
from trainer.recipe import method_settings

GIB = 2**30
SAFE_SHARE = 0.8
"""Part of a device's memory that a plan fills; the rest is for kernels' workspace and fragmentation."""


@dataclass(frozen=True)
class MemoryEstimate:
    """Estimated GiB on one device: weights (student, gradients, two moments, teacher) and what a forward pass keeps."""

    weights_gib: float
    activations_gib: float
    device_gib: float


def estimate_memory(config: PretrainConfig, parameters: Mapping[str, int], images: int, precision: str) -> float:
    """GiB of the crops of a whole step and of what the forward pass of `images` images keeps, without workspace."""
    settings = method_settings(config).backbone
    kept = 1 - settings.drop_path_rate
    whole_blocks = (settings.depth - 1) * _bytes_per_token(settings, precision)
    tokens = images * sum(tokens_per_image(config, settings))
    activations = tokens * (whole_blocks + _bytes_per_token_of_last_block(settings, precision))
    crops = config.run.batch_size * config.crops.channels * _pixels(config) * 4
    copies = 2 * sum(parameters.values()) if precision == "bf16" else 0
    return (activations * kept + crops + copies) / GIB


def weights_gib(parameters: Mapping[str, int]) -> float:
    """Student, its gradients, AdamW's two moments and the teacher, in float32."""
    return 5 * 4 * sum(parameters.values()) / GIB


def fitting_images(
    config: PretrainConfig, parameters: Mapping[str, int], images: int, precision: str, device_gib: float
) -> int:
    """The largest part of a rank's images, cut evenly, that fits SAFE_SHARE of the device, else the smallest.

    KoLeo compares images with each other, so it gets at least two.
    """
    room = SAFE_SHARE * device_gib - weights_gib(parameters)
    fewest = 2 if config.losses.koleo_weight else 1
    parts = [part for part in range(images, min(fewest, images) - 1, -1) if images % part == 0]
    fitting = (part for part in parts if estimate_memory(config, parameters, part, precision) <= room)
    return next(fitting, parts[-1])


def device_memory_gib(device: torch.device) -> float:
    """Memory of a GPU, or of this machine for other devices."""
    if device.type == "cuda":
        return float(torch.cuda.get_device_properties(device).total_memory) / GIB
    return float(psutil.virtual_memory().total) / GIB


def tokens_per_image(config: PretrainConfig, settings: VitSettings) -> tuple[int, int]:
    """Tokens of all global and of all local crops of an image, with class and register tokens."""
    extra = 1 + settings.registers
    global_tokens = 2 * ((config.crops.global_px // settings.patch_size) ** 2 + extra)
    local_tokens = config.crops.local_crops * ((config.crops.local_px // settings.patch_size) ** 2 + extra)
    return global_tokens, local_tokens


def _bytes_per_token(settings: VitSettings, precision: str) -> float:
    """Bytes that one block keeps for one token.

    Per unit of D: q, k, v and attention output (4); inputs and outputs of both norms, both branches and their sums (7);
    and the hidden layer before and after its activation: 2 H, or 4 H where it is gated. Under bf16 the two inputs of
    the norms stay in float32.
    """
    D = settings.embed_dim
    gated = settings.ffn == "swiglu"
    hidden = 4 * swiglu_hidden_dim(D, settings.mlp_ratio) if gated else 2 * int(D * settings.mlp_ratio)
    branches = 7 if settings.layer_scale is not None else 5
    if precision == "bf16":
        return 2 * ((4 + branches - 2) * D + hidden) + 4 * 2 * D
    return 4 * ((4 + branches) * D + hidden)


def _bytes_per_token_of_last_block(settings: VitSettings, precision: str) -> float:
    """The last block keeps its attention's inputs and outputs; the rest is computed for few tokens (7 of D in all)."""
    D = settings.embed_dim
    return 2 * 6 * D + 4 * D if precision == "bf16" else 4 * 7 * D


def _pixels(config: PretrainConfig) -> int:
    return 2 * config.crops.global_px**2 + config.crops.local_crops * config.crops.local_px**2
