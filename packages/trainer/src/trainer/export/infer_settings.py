"""The settings of a backbone, from the shapes of its official tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor

from contracts.errors import BrokenArtifact, ConfigError
from trainer.layers.feed_forward import swiglu_hidden_dim
from trainer.models.sizes import MODEL_SIZES
from trainer.models.vision_transformer import VitSettings

HEAD_DIM = 64
"""Width of an attention head in every published DINOv2 model."""


def infer_settings(state: Mapping[str, Tensor], num_heads: int | None = None) -> VitSettings:
    """Read everything that shapes tell; the number of heads is in no shape and must be given for unusual widths.

    The resampling is the one that the released models of that kind were trained with.
    Errors: BrokenArtifact (a tensor is missing), ConfigError (the number of heads cannot be told).
    """
    try:
        D = state["cls_token"].shape[-1]
        patch = state["patch_embed.proj.weight"]
        positions = state["pos_embed"].shape[1] - 1
    except KeyError as error:
        raise BrokenArtifact(
            f"the checkpoint has no {error.args[0]}: it is no backbone with learned positions"
        ) from None
    depth = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("blocks."))
    registers = state["register_tokens"].shape[1] if "register_tokens" in state else 0
    side = math.isqrt(positions)
    if side * side != positions:
        raise BrokenArtifact(f"the position table has {positions} patches, which is no square grid")
    if num_heads is not None and (num_heads < 1 or D % num_heads):
        raise ConfigError(f"a model {D} wide has no {num_heads} attention heads: give a divisor of {D}")
    ffn, ratio = _feed_forward(state, D)
    return VitSettings(
        embed_dim=D,
        depth=depth,
        num_heads=num_heads or _number_of_heads(D, depth),
        patch_size=patch.shape[-1],
        image_size=side * patch.shape[-1],
        in_channels=patch.shape[1],
        registers=registers,
        ffn=ffn,
        mlp_ratio=ratio,
        layer_scale=1.0 if "blocks.0.ls1.gamma" in state else None,
        resampling="official_registers" if registers else "official",
    )


def _feed_forward(state: Mapping[str, Tensor], D: int) -> tuple[str, float]:
    """Kind and ratio of the feed-forward layers."""
    if "blocks.0.mlp.fc1.weight" in state:
        return "mlp", state["blocks.0.mlp.fc1.weight"].shape[0] / D
    if "blocks.0.mlp.w12.weight" not in state:
        raise BrokenArtifact("the checkpoint's blocks have neither mlp.fc1 nor mlp.w12: its feed-forward is not known")
    hidden = state["blocks.0.mlp.w12.weight"].shape[0] // 2
    for ratio in (4.0, 1.5 * hidden / D):
        if swiglu_hidden_dim(D, ratio) == hidden:
            return "swiglu", ratio
    raise BrokenArtifact(f"a SwiGLU hidden width of {hidden} fits no ratio at width {D}")


def _number_of_heads(D: int, depth: int) -> int:
    known = {(size.embed_dim, size.depth): size.num_heads for size in MODEL_SIZES.values()}
    if (D, depth) in known:
        return known[D, depth]
    if D % HEAD_DIM:
        raise ConfigError(
            f"the weights do not tell the number of attention heads of a model {D} wide and {depth} deep: give it with "
            "--num-heads"
        )
    return D // HEAD_DIM
