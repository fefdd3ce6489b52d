"""The local engine: parts in this process, one after the other or on threads. For tests, debugging and small pools."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from queue import SimpleQueue
from typing import Any

from curation.engine.engine import Part, Result
from curation.progress import PartProgress


class LocalEngine:
    """Runs everything in this process. `workers`: threads, each with a worker of its own (default: none)."""

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or 1

    def map_parts(
        self,
        make_worker: Callable[[], Callable[[Part], Result]],
        parts: Sequence[Part],
        *,
        cpus: float = 1.0,  # noqa: ARG002  nothing is reserved in one process
        gpus: float = 0.0,  # noqa: ARG002
        label: str,
    ) -> Iterator[tuple[int, Result]]:
        """See Engine.map_parts."""
        if not parts:
            return
        threads = min(self.workers, len(parts))
        results = _in_turn(make_worker(), parts) if threads == 1 else _on_threads(make_worker, parts, threads)
        with PartProgress(label, len(parts)) as progress:
            for position, result in results:
                yield position, result
                progress.advance()


def _in_turn(work: Callable[[Part], Result], parts: Sequence[Part]) -> Iterator[tuple[int, Result]]:
    for position, part in enumerate(parts):
        yield position, work(part)


def _on_threads(
    make_worker: Callable[[], Callable[[Part], Result]], parts: Sequence[Part], threads: int
) -> Iterator[tuple[int, Result]]:
    """As many parts as threads are under way or wait to be taken; an error drops the parts that have not begun.

    Matrix products run on the thread of their worker alone: threads that share cores with each other's helpers wait.
    The limit is set by each thread, since OpenMP counts per thread; libraries loaded by a first part keep it from then.
    """
    from threadpoolctl import threadpool_limits

    free: SimpleQueue[Any] = SimpleQueue()
    for _ in range(threads):
        free.put(make_worker())

    def run(position: int) -> tuple[int, Result]:
        work = free.get()
        threadpool_limits(limits=1)
        try:
            return position, work(parts[position])
        finally:
            free.put(work)

    positions = iter(range(len(parts)))
    with threadpool_limits(limits=1), ThreadPoolExecutor(threads) as pool:
        running: set[Future[tuple[int, Result]]] = {pool.submit(run, next(positions)) for _ in range(threads)}
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
                running |= {pool.submit(run, position) for position in [next(positions, None)] if position is not None}
