"""Copies made ahead of their use, one after another, on a thread of their own."""

from __future__ import annotations

import atexit
import contextlib
import threading
from collections.abc import Callable, Sequence

from contracts.errors import UserError
from trainer.data.remote.patience import Stopped

_LOOK_AGAIN_SECONDS = 0.2
_LONGEST_STOP_SECONDS = 60.0


class Prefetcher:
    """Calls fetch(number, stop) for the numbers that are wanted next; the newest list stands.

    `fetch` returns whether it is there now, and may raise Stopped once `stop` is set. What others are making is left to
    them at first and looked at again in the end. An error ends the list: whoever needs that number meets it too, and
    says so. The thread ends before the process does: it must not be caught in the middle of a read.
    """

    def __init__(self, fetch: Callable[[int, threading.Event], bool]) -> None:
        self._fetch = fetch
        self._changed = threading.Condition()
        self._wanted: list[int] = []
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def want(self, numbers: Sequence[int]) -> None:
        """Fetch these, in order, instead of what was asked for before."""
        with self._changed:
            self._wanted = list(numbers)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True, name="prefetch")
                self._thread.start()
                atexit.register(self.close)
            self._changed.notify()

    def close(self) -> None:
        """Break off what is being fetched and end the thread."""
        self._stop.set()
        with self._changed:
            self._wanted = []
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(_LONGEST_STOP_SECONDS)
        atexit.unregister(self.close)

    def _run(self) -> None:
        while not self._stop.is_set():
            with self._changed:
                while not self._wanted and not self._stop.is_set():
                    self._changed.wait()
                wanted = self._wanted
            with contextlib.suppress(UserError, OSError, Stopped):
                self._fetch_all(wanted)
            with self._changed:
                if wanted is self._wanted:
                    self._wanted = []

    def _fetch_all(self, wanted: list[int]) -> None:
        left = wanted
        while left and wanted is self._wanted:
            left = [number for number in left if wanted is self._wanted and not self._fetch(number, self._stop)]
            if left:
                self._stop.wait(_LOOK_AGAIN_SECONDS)
