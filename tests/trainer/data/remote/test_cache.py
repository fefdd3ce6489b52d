from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from contracts.errors import ConfigError
from trainer.data.remote.cache import CopyCache, Entry

SIZE = 10_000


def entry(name: str) -> Entry:
    return Entry(name, f"{name}.tar", SIZE)


def fill(draft: Path) -> None:
    draft.write_bytes(b"x" * SIZE)


def copy(cache: CopyCache, name: str, at: float) -> Path:
    """A copy that was wanted last at a time."""
    path = cache.copy(entry(name), fill)
    assert path is not None
    os.utime(path, (at, at))
    return path


def test_a_copy_is_made_once(tmp_path: Path) -> None:
    cache, made = CopyCache(tmp_path, 10 * SIZE), []
    for _ in range(2):
        path = cache.copy(entry("a"), lambda draft: made.append(fill(draft)))
        assert path is not None
        assert (path.name, path.stat().st_size) == ("a.tar", SIZE)
    assert len(made) == 1
    assert cache.at_hand(entry("b")) is None


def test_what_was_not_wanted_for_longest_makes_room(tmp_path: Path) -> None:
    cache = CopyCache(tmp_path, 3 * SIZE)
    first, second, third = (copy(cache, name, at) for at, name in enumerate("abc"))
    cache.at_hand(entry("a"))
    fourth = copy(cache, "d", 9)
    assert [path.exists() for path in (first, second, third, fourth)] == [True, False, True, True]


def test_the_folder_never_takes_more_than_its_limit(tmp_path: Path) -> None:
    limit = 3 * SIZE
    seen = []

    def look(draft: Path) -> None:
        fill(draft)
        seen.append(sum(path.stat().st_size for path in tmp_path.glob("*/*")))

    for number in range(9):
        CopyCache(tmp_path, limit).copy(entry(str(number)), look)
    assert max(seen) == limit
    with pytest.raises(ConfigError, match=r"cache_gib"):
        CopyCache(tmp_path, limit).copy(Entry("large", "large.tar", 4 * SIZE), fill)


def test_a_failed_copy_leaves_nothing(tmp_path: Path) -> None:
    cache = CopyCache(tmp_path, 3 * SIZE)

    def broken(draft: Path) -> None:
        fill(draft)
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        cache.copy(entry("a"), broken)
    assert cache.at_hand(entry("a")) is None
    assert not list(tmp_path.glob("*/.draft"))
    assert cache.copy(entry("a"), fill) is not None


def test_a_draft_of_a_killed_process_takes_no_room(tmp_path: Path) -> None:
    cache = CopyCache(tmp_path, 2 * SIZE)
    left = tmp_path / entry("a").id() / ".draft"
    left.parent.mkdir()
    left.write_bytes(b"x" * 2 * SIZE)
    assert cache.copy(entry("b"), fill) is not None
    assert not left.exists()


def _copy_slowly(folder: Path, made: Path) -> None:
    def slowly(draft: Path) -> None:
        with made.open("a") as log:
            log.write("made\n")
        time.sleep(0.2)
        fill(draft)

    CopyCache(folder, 4 * SIZE).copy(entry("a"), slowly)


def test_processes_share_one_copy(tmp_path: Path) -> None:
    workers = [
        multiprocessing.get_context("fork").Process(target=_copy_slowly, args=(tmp_path / "cache", tmp_path / "log"))
        for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert (tmp_path / "log").read_text() == "made\n"
    assert not list((tmp_path / "cache").glob("*/.draft"))


def test_without_waiting_what_another_makes_is_left_to_it(tmp_path: Path) -> None:
    cache = CopyCache(tmp_path, 4 * SIZE)
    inner: list[Path | None] = []

    def make(draft: Path) -> None:
        inner.append(cache.copy(entry("a"), fill, wait=False))
        fill(draft)

    assert cache.copy(entry("a"), make) is not None
    assert inner == [None]
