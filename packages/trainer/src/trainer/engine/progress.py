"""Progress of a run on stderr: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class ProgressDisplay(ABC):
    """What the recorder tells while the loop runs."""

    @abstractmethod
    def begin(self, step: int) -> None:
        """The loop starts after so many steps."""

    @abstractmethod
    def update(self, step: int, loss: float, speed: Mapping[str, float]) -> None:
        """A step is done; `speed` is what Recorder measures."""

    @abstractmethod
    def say(self, text: str) -> None:
        """One line that stays."""

    def __enter__(self) -> ProgressDisplay:
        return self

    def __exit__(  # noqa: B027
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        """Nothing to close by default."""


class SilentProgress(ProgressDisplay):
    """Says nothing: for all ranks but the first."""

    def begin(self, step: int) -> None:
        """Nothing to say."""

    def update(self, step: int, loss: float, speed: Mapping[str, float]) -> None:
        """Nothing to say."""

    def say(self, text: str) -> None:
        """Nothing to say."""


class BarProgress(ProgressDisplay):
    """A live bar."""

    def __init__(self, console: Console, total_steps: int) -> None:
        self._bar = Progress(
            TextColumn("steps"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[numbers]}"),
            console=console,
        )
        self._task: TaskID = self._bar.add_task("train", total=total_steps, numbers="")

    def __enter__(self) -> BarProgress:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()

    def begin(self, step: int) -> None:
        """Set the bar; what was done before does not count for the rate."""
        self._bar.reset(self._task, completed=step)

    def update(self, step: int, loss: float, speed: Mapping[str, float]) -> None:
        """Move the bar."""
        self._bar.update(self._task, completed=step, numbers=_numbers(loss, speed))

    def say(self, text: str) -> None:
        """Print above the bar."""
        self._bar.console.print(text, highlight=False, markup=False)


class LineProgress(ProgressDisplay):
    """One line every `every_seconds`, for logs."""

    def __init__(self, console: Console, total_steps: int, every_seconds: float = 20.0) -> None:
        self._console = console
        self._total_steps = total_steps
        self._every_seconds = every_seconds
        self._told = time.monotonic()

    def begin(self, step: int) -> None:  # noqa: ARG002  (a bar needs it)
        """Start anew."""
        self._told = time.monotonic()

    def update(self, step: int, loss: float, speed: Mapping[str, float]) -> None:
        """Print when it is time, and at the last step."""
        now = time.monotonic()
        if now - self._told < self._every_seconds and step < self._total_steps:
            return
        self._told = now
        line = f"step {step}/{self._total_steps}, {_numbers(loss, speed)}"
        if "seconds_left" in speed:
            line += f", {duration(speed['seconds_left'])} left"
        self.say(line)

    def say(self, text: str) -> None:
        """Print a line."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


def open_progress(total_steps: int) -> ProgressDisplay:
    """A bar when stderr is a terminal, else lines."""
    console = Console(file=sys.stderr)
    return BarProgress(console, total_steps) if console.is_terminal else LineProgress(console, total_steps)


def _numbers(loss: float, speed: Mapping[str, float]) -> str:
    found = f"loss {loss:.3f}, {speed['images_per_second']:.0f} images/s"
    found += f", waiting for data {100 * speed['data_wait']:.0f} %, {speed['memory_gib']:.1f} GiB"
    return found + (f", MFU {100 * speed['mfu']:.0f} %" if "mfu" in speed else "")


def duration(seconds: float) -> str:
    """Minutes and seconds, or hours and minutes."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
