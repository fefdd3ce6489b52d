"""heads.safetensors: projection heads under their own names; their shape is read off the tensors."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from contracts.errors import BrokenArtifact
from trainer.models.heads import HeadSettings, PrototypeHead

HEAD_NAMES = ("dino_head", "ibot_head")


def head_tensors(modules: nn.ModuleDict) -> dict[str, Tensor]:
    """Tensors of the heads among the modules: dino_head.mlp.0.weight, ..."""
    return {
        f"{name}.{key}": value.detach().float().cpu().contiguous()
        for name in HEAD_NAMES
        if name in modules
        for key, value in modules[name].state_dict().items()
    }


def build_heads(tensors: Mapping[str, Tensor]) -> nn.ModuleDict:
    """Heads from their tensors. Errors: BrokenArtifact when a tensor is missing or of no known head."""
    heads = nn.ModuleDict()
    for name in HEAD_NAMES:
        prefix = f"{name}."
        state = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        if state:
            heads[name] = _build_head(name, state)
    strange = [key for key in tensors if not key.startswith(tuple(f"{name}." for name in HEAD_NAMES))]
    if strange:
        raise BrokenArtifact(f"the heads' file holds {strange[0]!r}, which belongs to none of {', '.join(HEAD_NAMES)}")
    return heads


def _build_head(name: str, state: Mapping[str, Tensor]) -> PrototypeHead:
    try:
        in_dim, settings = head_settings(state)
        head = PrototypeHead(in_dim, settings)
        head.load_state_dict(dict(state))
    except (KeyError, IndexError, RuntimeError) as error:
        text = " ".join(str(error).split())[:200]
        raise BrokenArtifact(f"{name} in the heads' file is no prototype head: {text}") from None
    return head


def head_settings(state: Mapping[str, Tensor]) -> tuple[int, HeadSettings]:
    """Input width and shape of a head, from the shapes of its tensors."""
    linears = [state[key] for key in sorted(_mlp_weights(state), key=_position)]
    prototypes = state["last_layer.weight_v" if "last_layer.weight_v" in state else "last_layer.weight"]
    settings = HeadSettings(
        prototypes=prototypes.shape[0],
        hidden_dim=linears[0].shape[0] if len(linears) > 1 else HeadSettings.hidden_dim,
        bottleneck_dim=linears[-1].shape[0],
        layers=len(linears),
        weight_norm="last_layer.weight_v" in state,
        mlp_bias=any(key.startswith("mlp.") and key.endswith("bias") for key in state),
    )
    return linears[0].shape[1], settings


def _mlp_weights(state: Mapping[str, Tensor]) -> list[str]:
    return [key for key in state if key.startswith("mlp.") and key.endswith("weight")]


def _position(key: str) -> int:
    middle = key.split(".")[1]
    return int(middle) if middle.isdigit() else 0
