"""Ways to compute self-attention inside each sample of a packed batch; one function and one table line each.

Dimensions: T packed rows, H heads, d head width; groups of B_g samples with N_g tokens (layers/packing.py).
Every backend takes q, k, v [T, H, d] and the layout, and returns [T, H, d]. Optional libraries load when chosen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from contracts.errors import ConfigError, MissingInput, nearest_name
from trainer.layers.packing import PackedLayout

AttentionBackend = Callable[[Tensor, Tensor, Tensor, PackedLayout], Tensor]


def sdpa_per_group(q: Tensor, k: Tensor, v: Tensor, layout: PackedLayout) -> Tensor:
    """One scaled_dot_product_attention call per crop group; its samples have equal length, so nothing is padded."""
    outputs = []
    for q_g, k_g, v_g in zip(layout.split(q), layout.split(k), layout.split(v), strict=True):
        out = F.scaled_dot_product_attention(q_g.transpose(1, 2), k_g.transpose(1, 2), v_g.transpose(1, 2))
        outputs.append(out.transpose(1, 2).flatten(0, 1))
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs)


def nested(q: Tensor, k: Tensor, v: Tensor, layout: PackedLayout) -> Tensor:
    """One call over a jagged nested tensor made of the packed rows."""
    offsets = _offsets(layout, q.device)
    shortest, longest = min(layout.sequence_lengths), max(layout.sequence_lengths)  # else asked of the device, per call

    def ragged(x: Tensor) -> Tensor:
        values = x.contiguous()
        rows = torch.nested.nested_tensor_from_jagged(values, offsets, min_seqlen=shortest, max_seqlen=longest)
        return rows.transpose(1, 2)

    out = F.scaled_dot_product_attention(ragged(q), ragged(k), ragged(v))
    return out.transpose(1, 2).contiguous().values()


def xformers_block_diagonal(q: Tensor, k: Tensor, v: Tensor, layout: PackedLayout) -> Tensor:
    """xFormers memory-efficient attention with a block-diagonal mask over the packed rows.

    Errors: MissingInput when xformers is not installed.
    """
    fmha, memory_efficient_attention = _xformers()
    mask = fmha.attn_bias.BlockDiagonalMask.from_seqlens(layout.sequence_lengths, device=q.device)
    out: Any = memory_efficient_attention(q[None], k[None], v[None], attn_bias=mask)
    return cast(Tensor, out[0])


def varlen_flash(q: Tensor, k: Tensor, v: Tensor, layout: PackedLayout) -> Tensor:
    """PyTorch's variable-length flash attention: CUDA, float16 or bfloat16.

    Errors: ConfigError where the installed torch or the device cannot run it.
    """
    varlen_attn = _varlen(q.device.type, q.dtype)
    offsets = _offsets(layout, q.device).to(torch.int32)
    longest = max(layout.sequence_lengths)
    return cast(Tensor, varlen_attn(q, k, v, offsets, offsets, longest, longest))


def _offsets(layout: PackedLayout, device: torch.device) -> Tensor:
    """Row offsets of the samples, [number of samples + 1], int64."""
    lengths = torch.tensor([0, *layout.sequence_lengths], dtype=torch.int64)
    return lengths.cumsum(0).to(device, non_blocking=True)


def _xformers() -> tuple[Any, Any]:
    try:
        from xformers.ops import fmha, memory_efficient_attention
    except ImportError as error:
        raise MissingInput(
            'Attention backend "xformers" needs the xformers package, which is not installed; '
            'install it (pip install "winnow-trainer[xformers]") or choose attention=sdpa.'
        ) from error
    return fmha, memory_efficient_attention


def _varlen(device: str, dtype: torch.dtype) -> Any:
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError as error:
        raise ConfigError(
            f'Attention backend "varlen" needs torch 2.10 or newer, found {torch.__version__}; choose attention=sdpa.'
        ) from error
    if device != "cuda" or dtype not in (torch.float16, torch.bfloat16):
        raise ConfigError(
            f'Attention backend "varlen" runs on CUDA in half precision, found {dtype} on {device}; '
            "choose attention=sdpa or precision=bf16 on a GPU."
        )
    return varlen_attn


ATTENTION_BACKENDS: dict[str, AttentionBackend] = {
    "sdpa": sdpa_per_group,
    "nested": nested,
    "xformers": xformers_block_diagonal,
    "varlen": varlen_flash,
}


def attention_backend(name: str) -> AttentionBackend:
    """Look a backend up by name.

    Errors: ConfigError with the nearest known name.
    """
    if name not in ATTENTION_BACKENDS:
        raise ConfigError(f"Unknown attention backend {name!r}; {nearest_name(name, ATTENTION_BACKENDS)}")
    return ATTENTION_BACKENDS[name]


def check_backend(name: str, device: str, precision: str) -> None:
    """Errors: ConfigError, MissingInput where a backend cannot run on a device ("cuda", "cpu") in fp32 or bf16."""
    attention_backend(name)
    if name == "xformers":
        _xformers()
        if device != "cuda":
            raise ConfigError(f'Attention backend "xformers" runs on CUDA, found {device}; choose attention=sdpa.')
    if name == "varlen":
        _varlen(device, {"fp32": torch.float32, "bf16": torch.bfloat16}[precision])
