"""Ranks on several machines of a Ray cluster: Ray Train starts them, and starts all anew when one is lost.

The process that calls `start_ray_ranks` is Ray Train's driver; it holds no weights. The ranks find each other as those
of torchrun do. Checkpoints lie in the run folder, which all machines see, so that nothing is reported to Ray Train.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.errors import MissingInput, UserError
from trainer.engine.ranks import is_first
from trainer.engine.stop_signal import StopSignal

SECONDS_BETWEEN_LOOKS = 0.2


@dataclass(frozen=True)
class RayRanks:
    """`nodes` machines with `devices` ranks each; a rank reserves a GPU and a CPU, or a CPU alone.

    All are started anew up to `max_restarts` times. Relative paths begin in `folder` where a machine has it, else in
    what Ray has unpacked for the job.
    """

    nodes: int
    devices: int
    use_gpu: bool
    max_restarts: int
    folder: Path

    def placement(self) -> str:
        """One machine for all, a machine for each, or as few machines as hold them."""
        if self.nodes == 1:
            return "STRICT_PACK"
        return "STRICT_SPREAD" if self.devices == 1 else "PACK"


class Desk:
    """What the driver and its ranks tell each other, as an actor beside the driver."""

    def __init__(self) -> None:
        self._stopped = asyncio.Event()
        self._number = 0
        self._listening = self._restarted = False
        self._refusal: UserError | None = None
        self._report: Any = None

    async def stopped(self) -> int:
        """Answers the first rank when the run is to stop: with the number of the signal."""
        self._listening = True
        await self._stopped.wait()
        return self._number

    async def stop(self, number: int) -> bool:
        """Tell the ranks to stop; False when there are none now."""
        self._number = number
        self._stopped.set()
        return self._listening

    async def lose(self) -> UserError | None:
        """Ranks have ended with an error: with which, if the user can mend it."""
        self._listening, self._restarted = False, True
        return self._refusal

    async def restarted(self) -> bool:
        """True when these are not the first ranks of the run."""
        return self._restarted

    async def refuse(self, error: UserError) -> None:
        """A rank cannot go on, nor could another."""
        self._refusal = error

    async def finish(self, report: Any) -> None:
        """The first rank is done."""
        self._report = report

    async def report(self) -> Any:
        """What the first rank returned."""
        return self._report


def start_ray_ranks(
    work: Callable[..., Any],
    arguments: Mapping[str, Any],
    ranks: RayRanks,
    *,
    resume: bool | None,
    say: Callable[[str], None],
) -> Any:
    """Run `work(**arguments, resume=, told_to_stop=, say=)` in every rank; returns what the first rank returns.

    `work` must be importable where the ranks run. SIGTERM and Ctrl-C are handed on through `told_to_stop`, the second
    one acts at once. When a rank or its machine is lost, all start again: `work` goes on from what it has stored.
    Errors: UserError (no Ray, no cluster, that of a rank), SystemExit (stopped before the ranks had started),
    ray.train.TrainingFailedError when ranks were lost too often.
    """
    with cluster() as ray, tempfile.TemporaryDirectory() as nothing:
        beside_driver = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=False
        )
        desk = ray.remote(Desk).options(num_cpus=0, scheduling_strategy=beside_driver).remote()

        def rank() -> None:
            _one_rank(desk, work, {**arguments, "resume": resume}, ranks.folder)

        say(f"{ranks.nodes} x {ranks.devices} ranks through Ray Train, {_what_is_there(ray, ranks)}")
        training = _Training(_torch_trainer(rank, desk, ranks, nothing).fit)
        with StopSignal() as stop:
            training.start()
            told = False
            while training.is_alive():
                training.join(SECONDS_BETWEEN_LOOKS)
                if stop.received and not told:
                    told = True
                    if not ray.get(desk.stop.remote(int(stop.received))):
                        say("stopped before the ranks had started: the same command goes on from there")
                        raise SystemExit(128 + stop.received)
        if training.error is not None:
            refusal = ray.get(desk.lose.remote())
            raise refusal if refusal is not None else training.error
        return ray.get(desk.report.remote())


def _one_rank(desk: Any, work: Callable[..., Any], arguments: Mapping[str, Any], folder: Path) -> None:
    """A rank's whole life, in a thread of a Ray Train worker, which has joined the group."""
    import ray

    if folder.is_dir():
        os.chdir(folder)
    if ray.get(desk.restarted.remote()):
        arguments = {**arguments, "resume": None}
    answer = desk.stopped.remote() if is_first() else None

    def told_to_stop() -> int:
        if answer is None or not ray.wait([answer], timeout=0)[0]:
            return 0
        return int(ray.get(answer))

    try:
        report = work(**arguments, told_to_stop=told_to_stop, say=_say_first)
    except UserError as error:
        ray.get(desk.refuse.remote(error))
        raise
    if is_first():
        ray.get(desk.finish.remote(report))


def _say_first(text: str) -> None:
    if is_first():
        sys.stderr.write(text + "\n")


class _Training(threading.Thread):
    """Ray Train's `fit` beside the main thread, whose signals are ours: it would end the ranks without a checkpoint."""

    def __init__(self, fit: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._fit = fit
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            self._fit()
        except Exception as error:
            self.error = error


def _torch_trainer(rank: Callable[[], None], desk: Any, ranks: RayRanks, storage: str) -> Any:
    """Ray Train's trainer; `storage` is a folder for what it wants to write, which is nothing that we need."""
    os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"  # ranks stay where Ray has unpacked what goes with the job
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig, UserCallback
    from ray.train.torch import TorchTrainer

    class EndsForGood(UserCallback):  # type: ignore[misc]
        """Ranks are not started anew after a mistake that only the user can mend."""

        def after_exception(self, run_context: Any, worker_exceptions: Any) -> None:  # noqa: ARG002
            refusal = ray.get(desk.lose.remote())
            if refusal is not None:
                raise refusal

    return TorchTrainer(
        rank,
        scaling_config=ScalingConfig(
            num_workers=ranks.nodes * ranks.devices, use_gpu=ranks.use_gpu, placement_strategy=ranks.placement()
        ),
        run_config=RunConfig(
            storage_path=storage,
            failure_config=FailureConfig(max_failures=ranks.max_restarts),
            callbacks=[EndsForGood()],
        ),
    )


@contextmanager
def cluster() -> Iterator[Any]:
    """Ray, joined to the cluster for as long as the block runs, if it was not. Errors: MissingInput."""
    try:
        import ray
        import ray.train
    except ImportError:
        raise MissingInput(
            "several machines train together through Ray Train, which is not installed here: pip install "
            '"winnow-trainer[ray]" (the same on the cluster)'
        ) from None
    if ray.is_initialized():
        yield ray
        return
    address = os.environ.get("RAY_ADDRESS", "auto")
    try:
        _reach(address)
        ray.init(address=address, logging_level="ERROR")
    except (ConnectionError, OSError, ValueError, RuntimeError) as error:
        found = str(error).partition("\n")[0].partition(". ")[0]
        raise MissingInput(
            f"--nodes wants a Ray cluster, and none answers at {address!r} ({found}): start one with `ray start "
            "--head`, name it with RAY_ADDRESS, or hand the run in with `trainer submit`"
        ) from None
    try:
        yield ray
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """Errors: OSError when nobody listens at HOST:PORT, for which Ray would wait for minutes."""
    host, _, port = address.rpartition(":")
    if "://" not in address and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


def _what_is_there(ray: Any, ranks: RayRanks) -> str:
    """What the cluster has of what the ranks want."""
    kind = "GPU" if ranks.use_gpu else "CPU"
    there = sum(node["Alive"] for node in ray.nodes())
    return f"on {kind}s; the cluster has {int(ray.cluster_resources().get(kind, 0))} on {there} machines now"
