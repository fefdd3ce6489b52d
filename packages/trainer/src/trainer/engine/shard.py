"""Weights in parts over all ranks (FSDP2): what is gathered together, and how the whole is put together again.

A block is gathered when it is computed, forward and backward, and its gradients are averaged as they are handed back in
parts; so are a head's hidden layers and its prototypes. What is stored and averaged stays float32; under bf16 blocks
and hidden layers are gathered in bf16, which is what autocast would turn them into.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method

from trainer.engine.device import autocast_dtype
from trainer.engine.ranks import is_first
from trainer.layers.block import Block
from trainer.losses.across_ranks import world_size
from trainer.models.heads import PrototypeHead
from trainer.models.vision_transformer import VisionTransformer
from trainer.optim.local_part import is_sharded, whole_tensor


def shard_weights(method: nn.Module, device: torch.device, precision: str) -> None:
    """Leave each rank its part of every backbone and head of a method, whose weights are the same on all ranks.

    To be called before the optimiser is built. Source: PyTorch FSDP2 (torch.distributed.fsdp.fully_shard).
    """
    mesh = init_device_mesh(device.type, (world_size(),))
    exact = MixedPrecisionPolicy(cast_forward_inputs=False)
    short = MixedPrecisionPolicy(autocast_dtype(precision), torch.float32, cast_forward_inputs=False)
    for module in list(method.modules()):
        if isinstance(module, VisionTransformer):
            for block in module.blocks:
                fully_shard(block, mesh=mesh, reshard_after_forward=True, mp_policy=short)
            fully_shard(module, mesh=mesh, reshard_after_forward=True, mp_policy=exact)
            for name in ("forward_packed", "forward_rows", "intermediate"):
                register_fsdp_forward_method(module, name)
        elif isinstance(module, PrototypeHead):
            fully_shard(module.mlp, mesh=mesh, reshard_after_forward=True, mp_policy=short)
            module.last_layer.outlives_weights = True
            fully_shard(module.last_layer, mesh=mesh, reshard_after_forward=True, mp_policy=exact)
            register_fsdp_forward_method(module.last_layer, "matrix")


def compile_blocks(method: nn.Module) -> None:
    """Compile every transformer block, before they are sharded; those of one shape share the compiled code."""
    for module in method.modules():
        if isinstance(module, Block):
            module.compile()


def whole_weights(module: nn.Module) -> dict[str, Tensor]:
    """The state dict of a module with all parts put together, on every rank; every rank must call this."""
    return {name: whole_tensor(value) for name, value in module.state_dict().items()}


def whole_modules(modules: nn.ModuleDict) -> nn.ModuleDict:
    """Backbone and heads as one process has them: the same modules, or a copy of sharded ones on the first rank's CPU.

    Every rank must call this; where they are sharded, other ranks get no modules.
    """
    if not is_sharded(modules.parameters()):
        return modules
    state: dict[str, Tensor] = {}
    for name, value in modules.state_dict().items():
        whole = whole_tensor(value)
        if is_first():
            state[name] = whole.cpu()
    if not is_first():
        return nn.ModuleDict()
    with torch.device("meta"):
        copy = nn.ModuleDict({name: _unfilled(module) for name, module in modules.items()})
    copy.load_state_dict(state, assign=True)
    return copy.requires_grad_(False).eval()


def _unfilled(module: nn.Module) -> nn.Module:
    """A module of the same shape."""
    if isinstance(module, VisionTransformer):
        return VisionTransformer(module.settings)
    head = cast(PrototypeHead, module)
    return PrototypeHead(head.in_dim, head.settings)
