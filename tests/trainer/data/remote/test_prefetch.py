from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event

from contracts.errors import MissingInput
from trainer.data.remote.patience import Stopped
from trainer.data.remote.prefetch import Prefetcher


def wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_numbers_are_fetched_in_order_and_busy_ones_last() -> None:
    calls: list[int] = []

    def fetch(number: int, stop: Event) -> bool:
        calls.append(number)
        return number != 2 or len(calls) > 2

    Prefetcher(fetch).want([1, 2, 3])
    wait_until(lambda: len(calls) == 4)
    assert calls == [1, 2, 3, 2]


def test_the_newest_list_stands() -> None:
    started, go = Event(), Event()
    calls: list[int] = []

    def fetch(number: int, stop: Event) -> bool:
        calls.append(number)
        started.set()
        go.wait(5)
        return True

    prefetcher = Prefetcher(fetch)
    prefetcher.want([1, 2, 3])
    started.wait(5)
    prefetcher.want([7])
    go.set()
    wait_until(lambda: calls[-1] == 7)
    assert calls == [1, 7]


def test_an_error_ends_a_list_and_not_the_thread() -> None:
    calls: list[int] = []

    def fetch(number: int, stop: Event) -> bool:
        calls.append(number)
        if number == 2:
            raise MissingInput("gone")
        return True

    prefetcher = Prefetcher(fetch)
    prefetcher.want([1, 2, 3])
    wait_until(lambda: calls == [1, 2])
    time.sleep(0.05)
    prefetcher.want([4])
    wait_until(lambda: calls == [1, 2, 4])


def test_closing_breaks_off_what_is_being_fetched() -> None:
    started = Event()

    def fetch(number: int, stop: Event) -> bool:
        started.set()
        assert stop.wait(5)
        raise Stopped

    prefetcher = Prefetcher(fetch)
    prefetcher.want([1, 2])
    started.wait(5)
    begin = time.monotonic()
    prefetcher.close()
    assert time.monotonic() - begin < 2
    assert not prefetcher._thread.is_alive()
