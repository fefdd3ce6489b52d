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
from trainer.losses.prototype_cross_entropy import CHUNK_ELEMENTS
from trainer.models.vision_transformer import VitSettings
from trainer.recipe import method_settings

GIB = 2**30
SAFE_SHARE = 0.8
"""Part of a device's memory that a plan fills; the rest is for kernels' workspace and fragmentation."""


@dataclass(frozen=True)
class MemoryEstimate:
    """Estimated GiB on one device, and what the device has.

    weights: student, gradients, two moments, teacher; activations: what a forward pass keeps; losses: prototypes,
    their gradients and chunks of logits; peak: the most of a step, without what Python and PyTorch take for themselves.
    """

    weights_gib: float
    activations_gib: float
    losses_gib: float
    peak_gib: float
    device_gib: float


def memory_of_step(
    config: PretrainConfig, parameters: Mapping[str, int], images: int, precision: str, ranks: int
) -> MemoryEstimate:
    """The memory of a step whose micro-batches on a rank are `images` images; the device's own is left 0.

    In a step of one micro-batch there are no gradients yet when the forward pass has kept most. Sharded weights are
    held in parts, and whole as long as a block or a head needs them.
    """
    sharded = config.devices.strategy == "shard" and ranks > 1
    weights = weights_gib(parameters) / (ranks if sharded else 1)
    activations = estimate_memory(config, parameters, images, precision)
    losses = losses_gib(config, images)
    one_pass = images * ranks == config.run.batch_size and not config.devices.recompute_blocks
    working = _working_gib(config, images, precision) + (_gathered_gib(config, parameters) if sharded else 0)
    forward = weights * (4 / 5 if one_pass else 1) + activations + losses + working
    return MemoryEstimate(
        weights_gib=round(weights, 3),
        activations_gib=round(activations, 3),
        losses_gib=round(losses, 3),
        peak_gib=round(max(forward, weights), 3),
        device_gib=0.0,
    )


def losses_gib(config: PretrainConfig, images: int) -> float:
    """Per head: student's and teacher's prototypes and their gradient; and three chunks of logits of the largest."""
    heads = [config.heads.dino] if config.heads.shared else [config.heads.dino, config.heads.ibot]
    prototypes = sum(3 * 4 * head.prototypes * head.bottleneck_dim for head in heads)
    settings = method_settings(config).backbone
    patches = (config.crops.global_px // settings.patch_size) ** 2
    masked = images * config.masking.probability * 2 * patches * sum(config.masking.ratio) / 2
    rows = masked + images * (2 + config.crops.local_crops)
    chunk = min(CHUNK_ELEMENTS, rows * max(head.prototypes for head in heads))
    return (prototypes + 3 * 4 * chunk) / GIB


def estimate_memory(config: PretrainConfig, parameters: Mapping[str, int], images: int, precision: str) -> float:
    """GiB of the crops of a whole step and of what the forward pass of `images` images keeps, without workspace."""
    settings = method_settings(config).backbone
    kept = 1 - settings.drop_path_rate
    whole_blocks = (settings.depth - 1) * _bytes_per_token(settings, precision)
    if settings.recompute:  # the input of each block, and one block computed again with as much in gradients
        whole_blocks = (settings.depth - 1) * 4 * settings.embed_dim + 2 * _bytes_per_token(settings, precision)
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
    room, ranks = SAFE_SHARE * device_gib, max(config.run.batch_size // images, 1)
    fewest = 2 if config.losses.koleo_weight else 1
    parts = [part for part in range(images, min(fewest, images) - 1, -1) if images % part == 0]
    fitting = (p for p in parts if memory_of_step(config, parameters, p, precision, ranks).peak_gib <= room)
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


def _working_gib(config: PretrainConfig, images: int, precision: str) -> float:
    """What the backward pass of a block holds for a moment: four times the hidden layer of all tokens."""
    settings = method_settings(config).backbone
    hidden = settings.embed_dim * settings.mlp_ratio * (2 if precision == "bf16" else 4)
    return images * sum(tokens_per_image(config, settings)) * 4 * hidden / GIB


def _gathered_gib(config: PretrainConfig, parameters: Mapping[str, int]) -> float:
    """Whole weights of a block, ahead of it those of the next, and of the largest head, with their gradients."""
    block = parameters["backbone"] / method_settings(config).backbone.depth
    head = max(number for name, number in parameters.items() if name != "backbone")
    return 2 * 4 * (2 * block + head) / GIB


def _pixels(config: PretrainConfig) -> int:
    return 2 * config.crops.global_px**2 + config.crops.local_crops * config.crops.local_px**2
