"""Several ranks of a gloo group for a test, as forks of its process: they start at once, since all is imported."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def run_ranks(ranks: int, work: Callable[..., None], *given: Any, seconds: float = 120) -> None:
    """Call work(rank, *given) in every rank; what one of them raises is raised here, as is TimeoutError.

    Work is to be plain arithmetic: a fork has none of the threads of its parent.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    started = mp.start_processes(_rank, (ranks, port, work, given), nprocs=ranks, join=False, start_method="fork")
    deadline = time.monotonic() + seconds
    while not started.join(timeout=1):
        if time.monotonic() > deadline:
            for process in started.processes:
                process.kill()
            raise TimeoutError(f"{ranks} ranks did not end within {seconds:g} s")


def _rank(rank: int, ranks: int, port: int, work: Callable[..., None], given: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=ranks)
    work(rank, *given)
    dist.destroy_process_group()
