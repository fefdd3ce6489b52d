"""The Ray engine: a pool of actors that load their model once and take parts one at a time.

Parts wait with the driver until an actor is free, so that no more than one part per actor is in flight. When an actor
or its node dies, its part goes to another actor, a few times; an error of our own code is raised at once.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from contracts.errors import UserError
from curation.engine.engine import Part, Result
from curation.progress import PartProgress

TRIES_PER_PART = 4
STARTS = 3  # Ray gives its own start 30 s
OBJECT_STORE_BYTES = 256 * 1024**2  # parts and results are small: images are read where they are needed
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Idle OpenMP threads sleep; Ray itself gives an actor as many threads as it has CPUs.
    "OMP_WAIT_POLICY": "PASSIVE",
}


class RayEngine:
    """A connection to a local Ray (started here) or to a cluster, made when the first part comes.

    A step that finds all its parts published does not pay for Ray's start.
    """

    def __init__(self, workers: int | None = None, address: str | None = None) -> None:
        self._asked_workers, self._address = workers, address
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
        count = max(1, min(len(parts), int(self.workers / cpus)))
        pool = _ActorPool(self._ray, make_worker, cpus, gpus)
        waiting = deque((position, 1) for position in range(len(parts)))
        running: dict[Any, tuple[Any, int, int]] = {}
        idle = [pool.new_actor() for _ in range(count)]
        try:
            with PartProgress(label, len(parts)) as progress:
                while waiting or running:
                    while idle and waiting:
                        position, attempt = waiting.popleft()
                        actor = idle.pop()
                        running[actor.work.remote(parts[position])] = (actor, position, attempt)
                    done, _ = self._ray.wait(list(running), num_returns=1)
                    actor, position, attempt = running.pop(done[0])
                    try:
                        result = self._ray.get(done[0])
                    except self._ray.exceptions.RayTaskError as error:
                        raise _own_error(error) from None
                    except (self._ray.exceptions.RayActorError, self._ray.exceptions.ObjectLostError) as error:
                        _check_attempts(label, attempt, error)
                        waiting.append((position, attempt + 1))
                        idle.append(pool.new_actor())
                        continue
                    idle.append(actor)
                    yield position, result
                    progress.advance()
        finally:
            pool.stop()


class _ActorPool:
    """Makes actors that hold one worker each, and stops them all."""

    def __init__(self, ray: Any, make_worker: Callable[[], Any], cpus: float, gpus: float) -> None:
        self._ray = ray
        self._make_worker = make_worker
        self._actor_class = ray.remote(num_cpus=cpus, num_gpus=gpus)(_Worker)
        self._actors: list[Any] = []

    def new_actor(self) -> Any:
        actor = self._actor_class.remote(self._make_worker)
        self._actors.append(actor)
        return actor

    def stop(self) -> None:
        for actor in self._actors:
            self._ray.kill(actor)


class _Worker:
    """The body of an actor."""

    def __init__(self, make_worker: Callable[[], Callable[[Any], Any]]) -> None:
        self._work = make_worker()

    def work(self, part: Any) -> Any:
        return self._work(part)


def _own_error(error: Any) -> BaseException:
    """What our function raised in the actor: a UserError stays one; anything else keeps Ray's traceback."""
    cause = error.cause if getattr(error, "cause", None) is not None else error
    return cause if isinstance(cause, UserError) else error


def _check_attempts(label: str, attempt: int, error: BaseException) -> None:
    if attempt >= TRIES_PER_PART:
        raise UserError(
            f"{label}: the workers of one part died {attempt} times ({str(error).splitlines()[0]}): most often "
            "memory ran out; use fewer workers (--workers) or smaller parts"
        ) from None
