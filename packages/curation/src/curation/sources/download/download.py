"""Fetch many addresses at once and give the results as they come."""

from __future__ import annotations

import hashlib
import ssl
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from curation.decode import BadImage
from curation.sources.download.config import DownloadConfig
from curation.sources.download.fetch import NotFetched, fetch
from curation.sources.download.host_queue import HostQueue


@dataclass(frozen=True)
class Wanted:
    """An address, and the sha256 that its bytes must have if that is known."""

    url: str | None
    sha256: str | None = None


def download(wanted: Sequence[Wanted], settings: DownloadConfig) -> Iterator[tuple[int, bytes | BadImage]]:
    """(position, bytes or the reason why there are none) of every address, in order of completion."""
    queue = HostQueue([one.url or "" for one in wanted], settings.per_host)
    tries = [0] * len(wanted)
    left = len(wanted)
    tls = ssl.create_default_context()
    running: dict[Future[bytes], int] = {}
    with ThreadPoolExecutor(max_workers=min(settings.connections, max(1, len(wanted)))) as pool:
        while left:
            while len(running) < settings.connections:
                position = queue.take(time.monotonic())
                if position is None:
                    break
                tries[position] += 1
                running[pool.submit(fetch, wanted[position].url or "", settings, tls)] = position
            for future in _finished(running, queue):
                position = running.pop(future)
                outcome = _outcome(future, wanted[position], settings)
                if isinstance(outcome, NotFetched) and outcome.again and tries[position] < settings.tries:
                    pause = max(outcome.wait_seconds, settings.wait_seconds * 2 ** (tries[position] - 1))
                    queue.give_back(position, again_at=time.monotonic() + pause)
                    continue
                queue.give_back(position)
                left -= 1
                yield position, BadImage(outcome.code, outcome.reason) if isinstance(outcome, NotFetched) else outcome


def _finished(running: dict[Future[bytes], int], queue: HostQueue) -> set[Future[bytes]]:
    """Wait until a fetch is done or a failure may be tried again."""
    at = queue.next_at()
    patience = None if at is None else max(0.0, at - time.monotonic())
    if not running:
        time.sleep(patience or 0.0)
        return set()
    return wait(running, timeout=patience, return_when=FIRST_COMPLETED).done


def _outcome(future: Future[bytes], wanted: Wanted, settings: DownloadConfig) -> bytes | NotFetched:
    try:
        data = future.result()
    except NotFetched as failure:
        return failure
    if not data:
        return NotFetched("zero bytes")
    if settings.check_sha256 and wanted.sha256 and hashlib.sha256(data).hexdigest() != wanted.sha256.lower():
        return NotFetched("the bytes do not have the table's sha256: the image was changed", code="changed")
    return data
