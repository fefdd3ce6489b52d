"""The queue gives every address once, no host more than its share, and failures not before their time."""

from __future__ import annotations

import numpy as np
import pytest

from curation.sources.download.host_queue import HostQueue


@pytest.mark.parametrize("seed", range(5))
def test_every_address_once_and_no_host_too_often(seed: int) -> None:
    rng = np.random.default_rng(seed)
    hosts = rng.integers(0, 6, 200)
    queue = HostQueue([f"http://h{host}/{n}" for n, host in enumerate(hosts)], per_host=3)
    running: list[int] = []
    taken: list[int] = []
    again: set[int] = set()
    now = 0.0
    while len(taken) < 200 or running:
        position = queue.take(now)
        if position is not None:
            running.append(position)
            counts = np.bincount(hosts[running], minlength=6)
            assert counts.max() <= 3
            continue
        assert running or queue.next_at() is not None
        if not running:
            now = queue.next_at() or now
            continue
        free = [h for h in range(6) if np.bincount(hosts[running], minlength=6)[h] < 3]
        waiting = set(range(200)) - set(taken) - set(running) - again
        assert not any(hosts[p] in free for p in waiting), "a place is free and its host has something waiting"
        done = running.pop(int(rng.integers(len(running))))
        now += 1.0
        if done not in again and rng.random() < 0.2:
            again.add(done)
            queue.give_back(done, again_at=now + 5)
        else:
            queue.give_back(done)
            taken.append(done)
            again.discard(done)
    assert sorted(taken) == list(range(200))


def test_a_failure_waits_for_its_time() -> None:
    queue = HostQueue(["http://a/1", "http://b/1"], per_host=1)
    first = queue.take(0.0)
    assert first == 0
    queue.give_back(first, again_at=10.0)
    assert queue.take(0.0) == 1
    assert queue.take(9.9) is None
    assert queue.next_at() == 10.0
    assert queue.take(10.0) == 0


def test_what_is_no_address_has_a_place_too() -> None:
    queue = HostQueue(["", "http://[::1", "x"], per_host=5)
    assert sorted(queue.take(0.0) for _ in range(3)) == [0, 1, 2]
