"""Both engines run every part once, in any order; on Ray a lost worker costs one part and errors keep their kind."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from contracts.errors import ConfigError, UserError
from contracts.publish import disk_is_full
from curation.engine import Engine, open_engine
from curation.index.threads import load_faiss


def make_squarer(offset: int) -> Callable[[int], int]:
    def work(part: int) -> int:
        return part * part + offset

    return work


def make_mortal(folder: str) -> Callable[[int], int]:
    """A worker that is killed the first time it meets part 3."""

    def work(part: int) -> int:
        mark = Path(folder) / "died"
        if part == 3 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return part

    return work


def make_doomed() -> Callable[[int], int]:
    def work(part: int) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return part

    return work


def make_meeting(folder: str, guests: int) -> Callable[[int], int]:
    def work(part: int) -> int:
        (Path(folder) / str(part)).touch()
        end = time.monotonic() + 20
        while len(list(Path(folder).iterdir())) < guests:
            assert time.monotonic() < end, "parts do not run at once"
            time.sleep(0.005)
        return part

    return work


def make_failing(kind: str) -> Callable[[int], int]:
    def work(part: int) -> int:
        if kind == "user":
            raise UserError(f"part {part} is bad")
        raise RuntimeError("our bug")

    return work


def make_refusing() -> Callable[[int], int]:
    raise UserError("the model is not there")


def make_full(folder: str) -> Callable[[int], int]:
    def work(part: int) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", f"{folder}/{part}")

    return work


def make_thread_counter(then: int | None = None) -> Callable[[int], tuple[int, str]]:
    """Counts the threads of OpenMP; `then` it sets them, as a library may do of its own accord."""
    faiss = load_faiss()

    def work(part: int) -> tuple[int, str]:
        found = faiss.omp_get_max_threads()
        faiss.omp_set_num_threads(then or found)
        return found, os.environ["OMP_WAIT_POLICY"]

    return work


def squares(engine: Engine) -> dict[int, int]:
    return dict(engine.map_parts(partial(make_squarer, 1), list(range(20)), label="squares"))


def test_local_and_ray_give_the_same(ray_engine: Engine) -> None:
    wanted = {i: i * i + 1 for i in range(20)}
    with open_engine("local") as local:
        assert squares(local) == wanted
        assert list(local.map_parts(partial(make_squarer, 0), [], label="none")) == []
    assert squares(ray_engine) == wanted
    assert list(ray_engine.map_parts(partial(make_squarer, 0), [], label="none")) == []


def test_the_local_engine_works_on_as_many_threads_as_workers(tmp_path: Path) -> None:
    with open_engine("local", workers=3) as local:
        assert squares(local) == {i: i * i + 1 for i in range(20)}
        # Each of the first three parts waits until the others have begun: on fewer threads none would end.
        assert set(dict(local.map_parts(partial(make_meeting, str(tmp_path), 3), [0, 1, 2], label="meet"))) == {0, 1, 2}
        with pytest.raises(RuntimeError, match="our bug"):
            list(local.map_parts(partial(make_failing, "bug"), list(range(9)), label="failing"))


def test_a_lost_worker_costs_one_part(ray_engine: Engine, tmp_path: Path) -> None:
    results = dict(ray_engine.map_parts(partial(make_mortal, str(tmp_path)), list(range(8)), label="mortal"))
    assert results == {i: i for i in range(8)}
    assert (tmp_path / "died").exists()


def test_a_part_that_always_kills_its_worker_is_given_up(ray_engine: Engine) -> None:
    with pytest.raises(UserError, match="died 4 times"):
        list(ray_engine.map_parts(make_doomed, [0], label="doomed"))


def test_errors_keep_their_kind(ray_engine: Engine) -> None:
    with pytest.raises(UserError, match="part 5 is bad"):
        list(ray_engine.map_parts(partial(make_failing, "user"), [5], label="failing"))
    with pytest.raises(Exception, match="our bug"):
        list(ray_engine.map_parts(partial(make_failing, "bug"), [5], label="failing"))


def test_what_a_worker_raises_as_it_loads_keeps_its_kind(ray_engine: Engine) -> None:
    with pytest.raises(UserError, match="the model is not there"):
        list(ray_engine.map_parts(make_refusing, [0, 1], label="refusing"))
    assert squares(ray_engine) == {i: i * i + 1 for i in range(20)}


def test_a_full_disk_of_a_worker_is_one_here(ray_engine: Engine) -> None:
    with pytest.raises(OSError, match="No space left") as caught:
        list(ray_engine.map_parts(partial(make_full, "/data"), [7], label="full"))
    assert disk_is_full(caught.value)
    assert caught.value.filename == "/data/7"


def test_workers_that_share_cores_have_one_thread_each_and_idle_threads_sleep(ray_engine: Engine) -> None:
    with open_engine("local", workers=2) as local:
        found = dict(local.map_parts(partial(make_thread_counter, 2), list(range(4)), label="threads"))
    assert set(found.values()) == {(1, "PASSIVE")}
    found = dict(ray_engine.map_parts(make_thread_counter, [0, 1], label="threads"))
    assert set(found.values()) == {(1, "PASSIVE")}
    wide = int(os.environ.get("OMP_NUM_THREADS", "2"))  # Ray leaves what is set as it is
    assert dict(ray_engine.map_parts(make_thread_counter, [0], cpus=2.0, label="threads")) == {0: (wide, "PASSIVE")}


def test_an_unknown_engine_is_named() -> None:
    with pytest.raises(ConfigError, match="did you mean 'local'"), open_engine("locale"):
        pass
