"""What a step may ask of an engine: run a function over parts, results in the order of completion.

The maths is plain functions; only this folder knows where they run. A part is the unit of retry: its function publishes
whole files or returns its result, so running it twice does no harm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

Part = TypeVar("Part")
Result = TypeVar("Result")

PartFunction = Callable[[Part], Result]
WorkerMaker = Callable[[], PartFunction[Any, Any]]


class Engine(Protocol):
    """An engine that is ready to work. `workers`: how many parts run at once when each needs one CPU."""

    workers: int

    def map_parts(
        self,
        make_worker: Callable[[], Callable[[Part], Result]],
        parts: Sequence[Part],
        *,
        cpus: float = 1.0,
        gpus: float = 0.0,
        label: str,
    ) -> Iterator[tuple[int, Result]]:
        """Yield (position of the part, its result) as parts finish.

        `make_worker` is called once per worker, where models are loaded; it and the parts must be picklable.
        `cpus`, `gpus`: what one worker reserves. `label` names the work in progress and messages.
        """
        ...
