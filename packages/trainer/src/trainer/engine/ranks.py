"""Several processes that train together: joining, agreeing, and starting them on one machine."""

from __future__ import annotations

import multiprocessing as mp
import os
import signal
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

import torch
import torch.distributed as dist

from contracts.errors import UserError

_JOINING = frozenset({"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"})
"""Environment variables by which torchrun, or Ray Train, tells a process which rank it is."""


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


def launched_ranks() -> int:
    """Ranks that torchrun, Ray Train or `start_ranks` launched, of which this process is one; 1 when none were."""
    return int(os.environ["WORLD_SIZE"]) if _JOINING.issubset(os.environ) else 1


def ranks_of_this_machine(ranks: int) -> int:
    """Of so many ranks, those that share this machine's cores: as many as were launched here, else all."""
    return min(ranks, int(os.environ.get("LOCAL_WORLD_SIZE", ranks)))


@contextmanager
def joined(device: torch.device) -> Iterator[torch.device]:
    """Join the ranks that were launched, for as long as the block runs; gives this rank's device.

    Ranks of Ray Train have been joined by it, each with its device, and are parted by it.
    """
    if dist.is_initialized():
        yield torch.device("cuda", torch.cuda.current_device()) if device.type == "cuda" else device
        return
    if not _JOINING.issubset(os.environ):
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


class _RankKilled(RuntimeError):
    """A rank was ended by a signal that nobody sent through this process: killed, out of memory, crashed."""


def start_ranks(
    devices: int,
    work: Callable[..., Any],
    arguments: Mapping[str, Any],
    *,
    max_restarts: int = 0,
    say: Callable[[str], None] = lambda _: None,
) -> Any:
    """Run `work(**arguments)` in as many processes on this machine; returns what the first rank returns.

    `work` and its arguments must be picklable. A SIGTERM is handed on to the ranks; Ctrl-C reaches them by itself.
    When a rank is killed, all are ended and started again, at most `max_restarts` times: `work` goes on from what it
    has stored. Errors: the UserError of a rank, or RuntimeError when a rank fails otherwise.
    """
    for left in range(max_restarts, -1, -1):
        try:
            return _run_ranks(devices, work, arguments)
        except _RankKilled as killed:
            if not left:
                raise
            say(f"{killed}: all ranks start again from the last checkpoint ({left - 1} more times if need be)")
    raise AssertionError("the last round returns or raises")


def _run_ranks(devices: int, work: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    """One life of all ranks. Errors: as start_ranks, and _RankKilled."""
    context = mp.get_context("spawn")
    answers = context.SimpleQueue()
    given = (devices, _free_port(), answers, work, arguments)
    ranks = [context.Process(target=_one_rank, args=(number, *given)) for number in range(devices)]
    for process in ranks:
        process.start()
    told_to_stop = False

    def hand_on(_number: int, _frame: object) -> None:
        nonlocal told_to_stop
        told_to_stop = True
        for process in ranks:
            process.terminate()

    before = {
        signal.SIGTERM: signal.signal(signal.SIGTERM, hand_on),
        signal.SIGINT: signal.signal(signal.SIGINT, lambda *_: None),
    }
    try:
        failed = _wait_for(ranks)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    found = [] if answers.empty() else [answers.get()]
    for answer in found:
        if isinstance(answer, UserError):
            raise answer
        return answer
    if failed is None:
        raise RuntimeError(f"of {devices} ranks, none gave an answer")
    rank, code = failed
    if code < 0 and not told_to_stop:
        raise _RankKilled(f"rank {rank} of {devices} was ended by {signal.Signals(-code).name}")
    raise RuntimeError(f"rank {rank} of {devices} ended with exit code {code}")


def _wait_for(ranks: Sequence[BaseProcess]) -> tuple[int, int] | None:
    """Wait until all have ended; when one fails, the others are stopped, since they would wait for it for ever.

    Returns the number and exit code of the one that failed first; one that was killed counts before one that noticed.
    """
    failed = None
    while running := [process.sentinel for process in ranks if process.is_alive()]:  # waiting for none never ends
        wait(running)
        codes = [(process.exitcode, number) for number, process in enumerate(ranks) if process.exitcode]
        if codes and failed is None:
            code, number = min(codes)
            failed = number, code
            for process in ranks:
                process.kill()
    for process in ranks:
        process.join()
    return failed


def _one_rank(
    number: int, devices: int, port: int, answers: Any, work: Callable[..., Any], arguments: Mapping[str, Any]
) -> None:
    os.environ |= {
        "RANK": str(number),
        "LOCAL_RANK": str(number),
        "WORLD_SIZE": str(devices),
        "LOCAL_WORLD_SIZE": str(devices),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    torch.set_num_threads(max(1, torch.get_num_threads() // devices))
    try:
        answer = work(**arguments)
    except UserError as error:
        answers.put(error)
        raise SystemExit(1) from None
    if number == 0:
        answers.put(answer)


def _free_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return int(door.getsockname()[1])
