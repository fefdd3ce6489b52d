"""What a run must remember to go on as if it had never stopped."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from trainer.engine.checkpoint import Checkpoint, load_tensors, tensor_layout
from trainer.engine.ranks import rank


@dataclass
class Progress:
    """Counters of a run: optimiser steps done, batches taken from the stream, non-finite steps in a row and in all."""

    step: int = 0
    position: int = 0
    skipped_in_a_row: int = 0
    skipped_in_all: int = 0

    def besides_step(self) -> dict[str, int]:
        """The counters that a checkpoint's header holds beside its step."""
        counters = asdict(self)
        del counters["step"]
        return counters


def state_tensors(method: nn.Module, optimizer: Optimizer) -> dict[str, Any]:
    """What a checkpoint holds: weights, averages, optimiser and random states."""
    return {
        "method": method.state_dict(),
        "optimizer": _optimizer_tensors(method, optimizer),
        "random": _random_states(),
    }


def restore_state(checkpoint: Checkpoint, method: nn.Module, optimizer: Optimizer) -> Progress:
    """Put a checkpoint back into method, optimiser and random generators."""
    layout = tensor_layout(checkpoint)
    _prepare_optimizer(layout, method, optimizer)
    random = {
        name: {key: state for key, state in states.items() if f"random.{name}.{key}" in layout}
        for name, states in _random_states().items()
    }
    tensors: dict[str, Any] = {
        "method": method.state_dict(),
        "optimizer": _optimizer_tensors(method, optimizer),
        "random": random,
    }
    load_tensors(checkpoint, tensors)
    _set_random_states(random, int(checkpoint.fields["step"]))
    names = ("step", "position", "skipped_in_a_row", "skipped_in_all")
    return Progress(**{name: int(checkpoint.fields[name]) for name in names})


def _optimizer_tensors(method: nn.Module, optimizer: Optimizer) -> dict[str, dict[str, Tensor]]:
    """The optimiser's tensors by parameter name; its groups are rewritten from the schedules at every step."""
    return {
        name: {key: value for key, value in optimizer.state[parameter].items() if isinstance(value, Tensor)}
        for name, parameter in method.named_parameters()
        if parameter in optimizer.state
    }


def _prepare_optimizer(
    layout: dict[str, tuple[torch.Size, torch.dtype]], method: nn.Module, optimizer: Optimizer
) -> None:
    """Make empty optimiser tensors for every one that a checkpoint holds, sharded like their parameters."""
    optimizer.state.clear()
    for name, parameter in method.named_parameters():
        prefix = f"optimizer.{name}."
        for dotted, (size, dtype) in layout.items():
            if not dotted.startswith(prefix) or "." in dotted.removeprefix(prefix):
                continue
            like_parameter = size == parameter.shape and size != torch.Size([])
            value = torch.zeros_like(parameter, dtype=dtype) if like_parameter else torch.zeros(size, dtype=dtype)
            optimizer.state[parameter][dotted.removeprefix(prefix)] = value.detach()


def _random_states() -> dict[str, dict[str, Tensor]]:
    """Random states of this rank, under its name."""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return {f"rank{rank()}": states}


def _set_random_states(states: dict[str, dict[str, Tensor]], step: int) -> None:
    """Put this rank's states back; a rank that the saved run did not have draws its own."""
    own = states.get(f"rank{rank()}", {})
    if "cpu" not in own:
        torch.manual_seed(step * 1_000_003 + rank())
        return
    torch.set_rng_state(own["cpu"])
    if "cuda" in own:
        torch.cuda.set_rng_state(own["cuda"])
