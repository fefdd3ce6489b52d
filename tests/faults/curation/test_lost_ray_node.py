"""On a Ray cluster of two nodes: a node, a worker or the driver is lost amid a step, and the bytes are the same."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.curation.small_pool import SmallPool, make_small_pool, picture
from tests.faults.curation.every_step import content
from tests.faults.curation.two_nodes import TwoNodes

PICTURES = 240
INGEST = ["ingest", "--set", "ingest.part_images=20"]
DEDUP = ["dedup", "--index", "ivf", "--set", "dedup.index.lists=5", "--set", "embed.part_rows=4"]


@pytest.fixture(scope="module")
def nodes() -> Iterator[TwoNodes]:
    with TwoNodes() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def catalogued(tmp_path_factory: pytest.TempPathFactory) -> SmallPool:
    """A pool of some hundred pictures, catalogued by the local engine."""
    small = make_small_pool(tmp_path_factory.mktemp("pool"))
    for number in range(PICTURES):
        picture(["red", "green", "blue"][number % 3], 1000 + number).save(small.pool / f"{number:03d}.png")
    run(small.workspace.root, [*INGEST, "--engine", "local"])
    return small


def start(root: Path, words: list[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "curation.cli", *words, "-w", str(root)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def ended(running: subprocess.Popen[bytes]) -> None:
    _, told = running.communicate(timeout=300)
    assert running.returncode == 0, told.decode()[-3000:]


def run(root: Path, words: list[str]) -> None:
    ended(start(root, words))


def when_parts_are_there(running: subprocess.Popen[bytes], folder: Path, parts: int) -> None:
    """Wait until so many parts are published and the step is still under way."""
    end = time.monotonic() + 200
    while len(list(folder.glob("part-*.npy"))) < parts:
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < end
        time.sleep(0.005)
    assert not (folder / "embeddings.json").exists(), "the step was done before it could be disturbed"


@pytest.mark.slow
@pytest.mark.faults
def test_two_nodes_give_the_bytes_of_one_process_whatever_is_lost(
    nodes: TwoNodes, catalogued: SmallPool, tmp_path: Path
) -> None:
    calm = tmp_path / "calm"
    shutil.copytree(catalogued.workspace.root, calm)
    run(calm, [*DEDUP, "--engine", "local"])
    wanted = content(calm)

    ray = ["--engine", "ray", "--ray-address", nodes.address]
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    shutil.copy(catalogued.workspace.settings, fresh)
    run(fresh, [*INGEST, *ray])
    assert content(fresh) == content(catalogued.workspace.root)

    def lose_worker(_: subprocess.Popen[bytes]) -> None:
        actors = nodes.actors()
        assert len(actors) == 2
        os.kill(actors[0], signal.SIGKILL)

    def lose_driver(running: subprocess.Popen[bytes]) -> None:
        running.kill()
        running.wait()

    def lose_node(_: subprocess.Popen[bytes]) -> None:
        nodes.lose_second_node()

    faults: dict[str, Callable[[subprocess.Popen[bytes]], None]] = {
        "worker": lose_worker,
        "driver": lose_driver,
        "node": lose_node,
    }
    for name, lose in faults.items():
        root = tmp_path / name
        shutil.copytree(catalogued.workspace.root, root)
        running = start(root, [*DEDUP, *ray])
        when_parts_are_there(running, root / "embeddings" / "descriptor", 3)
        lose(running)
        if name == "driver":
            running = start(root, [*DEDUP, *ray])
        ended(running)
        assert content(root) == wanted, name
