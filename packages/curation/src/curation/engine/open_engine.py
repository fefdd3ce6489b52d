"""Open an engine by name and close it again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from contracts.errors import ConfigError, nearest_name
from curation.engine.engine import Engine

ENGINES = ("ray", "local")


@contextmanager
def open_engine(kind: str = "ray", workers: int | None = None, ray_address: str | None = None) -> Iterator[Engine]:
    """Give an engine for the block. `workers`: parts at once (default: all cores; the local engine: one).

    Errors: ConfigError for an unknown kind.
    """
    if kind == "local":
        from curation.engine.local import LocalEngine

        yield LocalEngine(workers)
    elif kind == "ray":
        from curation.engine.ray_engine import RayEngine

        engine = RayEngine(workers, ray_address)
        try:
            yield engine
        finally:
            engine.close()
    else:
        raise ConfigError(f"unknown engine {kind!r} ({nearest_name(kind, ENGINES)})")
