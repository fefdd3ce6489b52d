"""What every command needs: an open workspace with an engine, a line to say, a report to show."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from curation import api
from curation.config import CurateConfig
from curation.engine import Engine
from curation.scaling.project import Projection


def say(text: str) -> None:
    """A line for the person who waits, on stderr."""
    sys.stderr.write(f"{text}\n")


def show(report: Mapping[str, Any], title: str, *, as_json: bool, lines: Sequence[str] = ()) -> None:
    """The report of a step: JSON, or a small table and some lines."""
    if as_json:
        sys.stdout.write(json.dumps(report, ensure_ascii=False, default=str) + "\n")
        return
    table = Table(title=title, title_justify="left", show_header=False)
    for name, value in report.items():
        if isinstance(value, Mapping):
            value = ", ".join(f"{key} {_shown(count)}" for key, count in value.items()) or "-"
        elif isinstance(value, list | tuple):
            value = ", ".join(_shown(one) for one in value) or "-"
        table.add_row(name.replace("_", " "), _shown(value))
    console = Console()
    console.print(table)
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _shown(value: Any) -> str:
    """One value as a person reads it."""
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


@dataclass(frozen=True)
class Session:
    """An open workspace with its settings and an engine."""

    workspace: api.Workspace
    config: CurateConfig
    engine: Engine


def show_projection(found: Projection) -> None:
    """What the steps of a pool take, a row each, then the whole."""
    pool, console = found.pool, Console()
    size = f"{pool.image_bytes / 1000:,.0f} kB, {pool.megapixels:.2g} megapixels each"
    table = Table(title=f"{pool.images:,} images of {size}, compared by {pool.model}", title_justify="left")
    for name in ("step", "core hours", "ms per image", "read", "written", "memory"):
        table.add_column(name, justify="left" if name == "step" else "right")
    for step in found.steps:
        milliseconds = 1000 * step.per_image(pool.images)
        sizes = [_bytes(value) for value in (step.bytes_read, step.bytes_written, step.memory)]
        table.add_row(step.step, f"{step.core_seconds / 3600:,.2f}", f"{milliseconds:.3g}", *sizes)
    console.print(table)
    hours = found.core_seconds / 3600
    together = f"{hours:,.1f} core hours, {hours / found.cores:,.1f} h on {found.cores:,} cores"
    notes = [f"note: {warning}" for warning in found.warnings]
    for line in (f"index {found.index.describe()}", f"{together}; longest: {found.bottleneck.step}", *notes):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _bytes(value: float) -> str:
    """A number of bytes as a person reads it."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000:
            return f"{value:,.3g} {unit}"
        value /= 1000
    return f"{value:,.3g} PB"


def show_foresight(found: api.Foresight, *, as_json: bool) -> None:
    """What a dry run found, then what is missing. Errors: MissingInput when something is."""
    show(found.as_dict() if as_json else found.values, f"{found.step}, dry run", as_json=as_json, lines=found.lines())
    found.require_complete()


@contextmanager
def open_session(
    workspace: Path, settings: list[str] | None, engine: str | None, workers: int | None, ray_address: str | None
) -> Iterator[Session]:
    """Open a workspace; command-line options go before curate.yaml."""
    place = api.Workspace(workspace)
    config = place.config(settings or ())
    kind = engine or config.engine.kind
    with api.open_engine(kind, workers or config.engine.workers, ray_address or config.engine.ray_address) as opened:
        yield Session(place, config, opened)
