"""Several processes that train together: joining, agreeing, and starting them on one machine."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from contracts.errors import ConfigError


def rank() -> int:
    """Number of this process among those that train together."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_first() -> bool:
    """True for the process that writes files and speaks."""
    return rank() == 0


def wait_for_all() -> None:
    """Go on when every rank has come here."""
    if dist.is_initialized():
        dist.barrier()


def from_first(value: Any) -> Any:
    """The first rank's value, on every rank."""
    if not dist.is_initialized():
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def largest(number: int, device: torch.device) -> int:
    """The largest of the ranks' numbers."""
    if not dist.is_initialized():
        return number
    box = torch.tensor(number, device=device)
    dist.all_reduce(box, op=dist.ReduceOp.MAX)
    return int(box)


@contextmanager
def joined(device: torch.device) -> Iterator[torch.device]:
    """Join the ranks that torchrun (or `start_ranks`) started; alone when none were. Gives this rank's device."""
    if "WORLD_SIZE" not in os.environ or dist.is_initialized():
        yield device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
    finally:
        dist.destroy_process_group()


def asked_world_size() -> int:
    """Ranks that torchrun or `start_ranks` started; 1 when none were."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def check_devices(devices: int, device: torch.device) -> None:
    """Errors: ConfigError when there are fewer GPUs than devices asked for."""
    if device.type == "cuda" and devices > torch.cuda.device_count():
        raise ConfigError(f"--devices {devices} was asked for, but PyTorch sees {torch.cuda.device_count()} GPUs")


def start_ranks(devices: int, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    """Run `work(*arguments)` in as many processes on this machine; SIGTERM and SIGINT are handed on to them.

    `work` and its arguments must be picklable. Errors: those of the first process that fails, as
    torch.multiprocessing tells them.
    """
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        port = door.getsockname()[1]
    context = mp.start_processes(_one_rank, (devices, port, work, arguments), devices, join=False, start_method="spawn")
    assert context is not None

    def hand_on(number: int, _frame: object) -> None:
        for process in context.processes:
            if process.is_alive() and process.pid is not None:
                os.kill(process.pid, number)

    before = {number: signal.signal(number, hand_on) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        while not context.join():
            pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _one_rank(index: int, devices: int, port: int, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    os.environ |= {
        "RANK": str(index),
        "LOCAL_RANK": str(index),
        "WORLD_SIZE": str(devices),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    work(*arguments)
