"""The Ray engine: a pool of actors that load their model once and take parts one at a time.

Parts wait with the driver until an actor has loaded its worker and is free, so that no part waits for an actor that the
cluster has no room for. When an actor or its node dies, its part goes to another actor, a few times; an error of our
own code is raised at once. Actors stay for the next step of the same command.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from contracts.errors import UserError
from contracts.publish import disk_is_full
from curation.engine.engine import Part, Result
from curation.progress import PartProgress

TRIES_PER_PART = 4
SECONDS_WITHOUT_WORKER = 30.0
STARTS = 3  # Ray gives its own start 30 s
OBJECT_STORE_BYTES = 256 * 1024**2  # parts and results are small: images are read where they are needed
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "OMP_WAIT_POLICY": "PASSIVE",
}
# Idle OpenMP threads sleep; Ray itself gives an actor as many threads as it has CPUs (OMP_NUM_THREADS).
_OF_WORKERS = {"env_vars": {"OMP_WAIT_POLICY": "PASSIVE"}}


class RayEngine:
    """A connection to a local Ray (started here) or to a cluster, made when the first part comes.

    A step that finds all its parts published does not pay for Ray's start. The cluster is the one at `address`, else
    the one that RAY_ADDRESS names (as Ray's own jobs do).
    """

    def __init__(self, workers: int | None = None, address: str | None = None) -> None:
        self._asked_workers, self._address = workers, address or os.environ.get("RAY_ADDRESS")
        self._spare: dict[tuple[float, float], list[Any]] = {}  # by CPUs and GPUs
        self.workers = workers or os.cpu_count() or 1
        self._ray: Any = None
        self._started = False

    def _connect(self) -> None:
        """Errors: UserError when the cluster does not answer."""
        if self._ray is not None:
            return
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        import ray

        self._ray = ray
        self._started = not ray.is_initialized()
        if self._started:
            self._init()
        cores = max(1, int(ray.cluster_resources().get("CPU", 1)))
        self.workers = min(self._asked_workers or cores, cores)

    def _init(self) -> None:
        if self._address:
            try:
                self._ray.init(address=self._address, logging_level="ERROR", log_to_driver=False)
            except (ConnectionError, OSError, ValueError) as error:
                raise UserError(
                    f"no Ray cluster answers at {self._address} ({error}): start one, or leave --ray-address out"
                ) from None
            return
        for attempt in range(1, STARTS + 1):
            try:
                self._ray.init(
                    address="local",  # never a cluster that somebody else left behind on this machine
                    num_cpus=self._asked_workers,
                    include_dashboard=False,
                    logging_level="ERROR",
                    log_to_driver=False,
                    object_store_memory=OBJECT_STORE_BYTES,
                )
                return
            except Exception as error:  # Ray raises a bare Exception when a busy machine is slow to start it
                if "timed out" not in str(error):
                    raise
                self._ray.shutdown()
                if attempt == STARTS:
                    raise UserError(
                        f"Ray did not start in {STARTS} attempts, so this machine is very busy or short of memory: try "
                        "again later, or work in one process with --engine local"
                    ) from None

    def close(self) -> None:
        """Leave Ray, if this object joined it."""
        if self._ray is not None:
            self._dismiss_others(None)
        if self._started:
            self._ray.shutdown()

    def map_parts(
        self,
        make_worker: Callable[[], Callable[[Part], Result]],
        parts: Sequence[Part],
        *,
        cpus: float = 1.0,
        gpus: float = 0.0,
        label: str,
    ) -> Iterator[tuple[int, Result]]:
        """See Engine.map_parts. Errors: UserError when a part's workers die again and again."""
        if not parts:
            return
        self._connect()
        self._dismiss_others((cpus, gpus))
        crew = _Crew(self._ray, make_worker, self._options(cpus, gpus), self._spare.setdefault((cpus, gpus), []))
        waiting = deque((position, 1) for position in range(len(parts)))
        running: dict[Any, tuple[Any, int, int]] = {}
        for _ in range(max(1, min(len(parts), int(self.workers / cpus)))):
            crew.start_one()
        try:
            with PartProgress(label, len(parts)) as progress:
                while waiting or running:
                    while crew.idle and waiting:
                        position, attempt = waiting.popleft()
                        actor = crew.idle.pop()
                        running[actor.work.remote(parts[position])] = (actor, position, attempt)
                    done, _ = self._ray.wait(
                        [*running, *crew.starting], num_returns=1, timeout=None if running else SECONDS_WITHOUT_WORKER
                    )
                    if not done:
                        self._tell_no_room(label, cpus, gpus)
                        continue
                    if done[0] in crew.starting:
                        crew.settle(done[0], label)
                        continue
                    actor, position, attempt = running.pop(done[0])
                    try:
                        result = self._ray.get(done[0])
                    except self._ray.exceptions.RayTaskError as error:
                        crew.idle.append(actor)
                        raise _own_error(error) from None
                    except self._ray.exceptions.RayError as error:
                        _check_attempts(label, attempt, error)
                        waiting.append((position, attempt + 1))
                        crew.start_one()
                        continue
                    crew.idle.append(actor)
                    yield position, result
                    progress.advance()
        finally:
            crew.disband([actor for actor, _, _ in running.values()])

    def _options(self, cpus: float, gpus: float) -> dict[str, Any]:
        """What an actor reserves, and the environment of its process where that is not the driver's."""
        joined = bool(self._address) or not self._started
        return {"num_cpus": cpus, "num_gpus": gpus, **({"runtime_env": _OF_WORKERS} if joined else {})}

    def _dismiss_others(self, needs: tuple[float, float] | None) -> None:
        """Free what actors of earlier steps reserve, but for those of the same needs."""
        for other in [known for known in self._spare if known != needs]:
            for actor in self._spare.pop(other):
                self._ray.kill(actor)

    def _tell_no_room(self, label: str, cpus: float, gpus: float) -> None:
        free = self._ray.available_resources()
        sys.stderr.write(
            f"{label}: Ray has no room for a worker yet: one needs {cpus:g} CPUs and {gpus:g} GPUs, "
            f"{free.get('CPU', 0):g} and {free.get('GPU', 0):g} are free\n"
        )


class _Crew:
    """The actors of one step. `starting`: by the reference that one is ready, with the attempt at starting it."""

    def __init__(self, ray: Any, make_worker: Callable[[], Any], options: dict[str, Any], spare: list[Any]) -> None:
        self._ray, self._make_worker, self._options, self._spare = ray, make_worker, options, spare
        self.starting: dict[Any, tuple[Any, int]] = {}
        self.idle: list[Any] = []

    def start_one(self, attempt: int = 1) -> None:
        """Let an actor, a spare one or a new one, load its worker."""
        actor = self._spare.pop() if self._spare else self._ray.remote(**self._options)(_Worker).remote()
        self.starting[actor.prepare.remote(self._make_worker)] = (actor, attempt)

    def settle(self, ready: Any, label: str) -> None:
        """The actor of this reference is idle now, or replaced. Errors: what loading raised; UserError."""
        actor, attempt = self.starting.pop(ready)
        try:
            self._ray.get(ready)
        except self._ray.exceptions.RayTaskError as error:
            raise _own_error(error) from None
        except self._ray.exceptions.RayError as error:
            _check_attempts(label, attempt, error)
            self.start_one(attempt + 1)
        else:
            self.idle.append(actor)

    def disband(self, working: Sequence[Any]) -> None:
        """Idle actors serve the next step, but for those on a GPU: its memory goes with the process. All others end."""
        spare = [] if self._options["num_gpus"] else self.idle
        for actor in spare:
            actor.forget.remote()
        self._spare.extend(spare)
        for actor in [*working, *(actor for actor, _ in self.starting.values()), *(self.idle if not spare else [])]:
            self._ray.kill(actor)


class _Worker:
    """The body of an actor."""

    def __init__(self) -> None:
        self._work: Callable[[Any], Any] | None = None

    def prepare(self, make_worker: Callable[[], Callable[[Any], Any]]) -> None:
        self._work = make_worker()

    def forget(self) -> None:
        self._work = None

    def work(self, part: Any) -> Any:
        assert self._work is not None
        return self._work(part)


def _own_error(error: Any) -> BaseException:
    """What our function raised in the actor: a UserError or a full disk stays one; all else keeps Ray's traceback."""
    cause = error.cause if getattr(error, "cause", None) is not None else error
    return cause if isinstance(cause, UserError) or (isinstance(cause, OSError) and disk_is_full(cause)) else error


def _check_attempts(label: str, attempt: int, error: BaseException) -> None:
    if attempt >= TRIES_PER_PART:
        raise UserError(
            f"{label}: the workers of one part died {attempt} times ({str(error).splitlines()[0]}): most often "
            "memory ran out; use fewer workers (--workers) or smaller parts"
        ) from None
