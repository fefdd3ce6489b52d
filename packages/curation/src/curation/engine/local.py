"""The local engine: parts one after the other in this process. For tests, debugging and small pools."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from curation.engine.engine import Part, Result
from curation.progress import PartProgress


class LocalEngine:
    """Runs everything in this process."""

    workers = 1

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
        work = make_worker()
        with PartProgress(label, len(parts)) as progress:
            for position, part in enumerate(parts):
                yield position, work(part)
                progress.advance()
