"""A folder of local copies that many processes share: each copy is made once, and the folder stays below its limit.

<folder>/<id>/<name>      a whole copy; its time of change is when it was wanted last
<folder>/<id>/.draft      a copy in the making, as long as it will be
<folder>/locks/00 ... ff  held while a copy of that prefix is made; `room` while room is made
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from contracts.errors import ConfigError

DRAFT, LOCKS = ".draft", "locks"
_LOOK_AGAIN_SECONDS = 0.2
_WORTH_REMOVING_BYTES = 4096  # notes below this stay


@dataclass(frozen=True)
class Entry:
    """One copy. `identity`: what tells its content from all others. Units: size in bytes, at least roughly."""

    identity: str
    name: str
    size: int

    def id(self) -> str:
        """Name of its folder."""
        return sha256(self.identity.encode("utf-8", "surrogateescape")).hexdigest()[:24]


class CopyCache:
    """Copies by entry, made when they are wanted; those not wanted for longest are removed to make room.

    A file that was removed can be read on by whoever has it open.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder, self._limit = folder, limit_bytes

    def at_hand(self, entry: Entry) -> Path | None:
        """The copy, if there is one, noted as wanted now."""
        path = self._folder / entry.id() / entry.name
        try:
            os.utime(path)
        except OSError:
            return None
        return path

    def copy(self, entry: Entry, make: Callable[[Path], object], *, wait: bool = True) -> Path | None:
        """The copy, made by `make(draft)` unless it is there; without `wait`, None while somebody else makes it, or
        others have drafts where it should lie.

        Errors: those of `make`; ConfigError when it does not fit.
        """
        found = self.at_hand(entry)
        if found is not None:
            return found
        with self._lock(entry.id()[:2], wait) as held:
            if not held:
                return None
            found = self.at_hand(entry)
            if found is not None:
                return found
            path = self._folder / entry.id() / entry.name
            draft = path.with_name(DRAFT)
            while not self._reserve(draft, entry):
                if not wait:
                    return None
                time.sleep(_LOOK_AGAIN_SECONDS)  # drafts of others fill the folder: they become copies, which may go
            try:
                make(draft)
                with draft.open("rb+") as written:
                    os.fsync(written.fileno())
                draft.replace(path)
            finally:
                draft.unlink(missing_ok=True)
            return path

    def _reserve(self, draft: Path, entry: Entry) -> bool:
        """Make room for a draft and let it take its place, so that others count it; False where there is none now."""
        if entry.size > self._limit:
            raise ConfigError(
                f"{entry.name} has {entry.size / 2**30:.2f} GiB and data.remote.cache_gib is "
                f"{self._limit / 2**30:.2f}: raise it"
            )
        with self._lock("room", wait=True):
            if not self._make_room(entry.size):
                return False
            draft.parent.mkdir(parents=True, exist_ok=True)
            with draft.open("wb") as handle:
                handle.truncate(entry.size)
        return True

    def _make_room(self, size: int) -> bool:
        copies: list[tuple[float, int, Path]] = []
        used = 0
        for path in self._folder.glob("*/*"):
            if path.parent.name == LOCKS:
                continue
            with contextlib.suppress(FileNotFoundError):
                if path.name == DRAFT and self._nobody_makes(path):
                    path.unlink()
                    continue
                found = path.stat()
                used += found.st_size
                if path.name != DRAFT and found.st_size >= _WORTH_REMOVING_BYTES:
                    copies.append((found.st_mtime, found.st_size, path))
        for _, freed, path in sorted(copies):
            if used + size <= self._limit:
                break
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                path.parent.rmdir()
            used -= freed
        return used + size <= self._limit

    def _nobody_makes(self, draft: Path) -> bool:
        """Whether a draft was left behind by a process that is gone."""
        with self._lock(draft.parent.name[:2], wait=False) as held:
            return held

    @contextlib.contextmanager
    def _lock(self, name: str, wait: bool) -> Iterator[bool]:
        import fcntl

        file = self._folder / LOCKS / name
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("ab") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            yield True
