"""Progress of a pass over many images on stderr: a bar with rate and time left, or a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from trainer.engine.progress import duration

Watch = Callable[[Iterable[Any], int, str, Callable[[Any], int]], Iterable[Any]]
"""Parts, how many images they hold in all, what is done with them, and how many one part holds -> the same parts."""
LINE_SECONDS = 20.0


def unwatched(parts: Iterable[Any], images: int, label: str, held: Callable[[Any], int]) -> Iterable[Any]:  # noqa: ARG001
    """Says nothing."""
    return parts


def watched(parts: Iterable[Any], images: int, label: str, held: Callable[[Any], int]) -> Iterator[Any]:
    """Tells how far it is."""
    console = Console(file=sys.stderr)
    return _bar(parts, images, label, held, console) if console.is_terminal else _lines(parts, images, label, held)


def _bar(parts: Iterable[Any], images: int, label: str, held: Callable[[Any], int], console: Console) -> Iterator[Any]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        task, began, done = bar.add_task(label, total=images, rate=""), time.monotonic(), 0
        for part in parts:
            yield part
            done += held(part)
            bar.update(task, completed=done, rate=f"{done / max(time.monotonic() - began, 1e-9):,.0f} images/s")


def _lines(parts: Iterable[Any], images: int, label: str, held: Callable[[Any], int]) -> Iterator[Any]:
    began = told = time.monotonic()
    done = 0
    for part in parts:
        yield part
        done += held(part)
        now = time.monotonic()
        if now - told >= LINE_SECONDS and done < images:
            told, rate = now, done / (now - began)
            left = duration((images - done) / rate)
            sys.stderr.write(f"{label}: {done:,} of {images:,} images, {rate:,.0f} images/s, {left} left\n")
