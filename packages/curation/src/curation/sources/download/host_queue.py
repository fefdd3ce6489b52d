"""Which address is fetched next: no host is asked too often at once, failures wait, and no host holds up the others."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from urllib.parse import urlsplit


class HostQueue:
    """Addresses by position, a queue for each host. Times are seconds of any one clock."""

    def __init__(self, urls: Sequence[str], per_host: int) -> None:
        self._hosts = [_host(url) for url in urls]
        self._per_host = per_host
        self._waiting: dict[str, deque[int]] = {}
        self._running: dict[str, int] = {}
        self._ready: deque[str] = deque()  # hosts that have an address waiting and a place free, each once
        self._later: list[tuple[float, int]] = []
        for position in range(len(urls)):
            self._put(position)

    def _put(self, position: int) -> None:
        host = self._hosts[position]
        queue = self._waiting.setdefault(host, deque())
        queue.append(position)
        if len(queue) == 1 and self._running.get(host, 0) < self._per_host:
            self._ready.append(host)

    def take(self, now: float) -> int | None:
        """The next address to fetch; None when all that is left must wait."""
        while self._later and self._later[0][0] <= now:
            self._put(heapq.heappop(self._later)[1])
        if not self._ready:
            return None
        host = self._ready.popleft()
        position = self._waiting[host].popleft()
        self._running[host] = self._running.get(host, 0) + 1
        if self._waiting[host] and self._running[host] < self._per_host:
            self._ready.append(host)
        return position

    def give_back(self, position: int, again_at: float | None = None) -> None:
        """An address was tried; with `again_at` it is to be tried once more, not before that time."""
        host = self._hosts[position]
        was_full = self._running[host] == self._per_host
        self._running[host] -= 1
        if was_full and self._waiting[host] and host not in self._ready:
            self._ready.append(host)
        if again_at is not None:
            heapq.heappush(self._later, (again_at, position))

    def next_at(self) -> float | None:
        """When the earliest failure may be tried again."""
        return self._later[0][0] if self._later else None


def _host(url: str) -> str:
    try:
        return urlsplit(url.strip()).hostname or ""
    except ValueError:
        return ""
