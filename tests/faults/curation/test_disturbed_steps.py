"""Every step of curate, killed with SIGKILL or out of disk at random points: typed again, it ends with the same bytes.

What a disturbed run leaves under a final name is what was there before or what is to come, and a full disk is one
sentence. WINNOW_FAULT_SEED and WINNOW_FAULT_POINTS draw other and more points than the tests do by themselves.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.faults.curation.every_step import Disturbed
from tests.faults.curation.warm_curate import Ended, Fault, WarmCurate

SEED = int(os.environ.get("WINNOW_FAULT_SEED", "0"))
POINTS = int(os.environ.get("WINNOW_FAULT_POINTS", "6"))
A_FEW = ("ingest", "dedup", "retrieve", "build")
FILE_BYTES = (0, 150, 600, 2500, 10_000, 40_000)


def points(calm: Ended, count: int, rng: random.Random) -> Iterator[Fault]:
    """Kills before changes of the workspace and at any time, and disks that are full from a change or a size on."""
    for change in rng.sample(range(1, calm.changes + 1), min(count, calm.changes)):
        yield Fault(change=change)
    for change in rng.sample(range(1, calm.changes + 1), min(count, calm.changes)):
        yield Fault(change=change, disk_full=True)
    for _ in range(count // 2):
        yield Fault(kill_seconds=rng.uniform(0, calm.seconds))
        yield Fault(file_bytes=rng.choice(FILE_BYTES))


@pytest.mark.faults
def test_steps_disturbed_at_a_few_points_end_with_the_same_bytes(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    with WarmCurate() as warm:
        runs = Disturbed(tmp_path, warm, A_FEW)
        for name in A_FEW:
            for fault in points(runs.calm(name), 1, rng):
                assert not runs.disturb(name, fault), (name, fault)


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_every_step_disturbed_at_many_points_ends_with_the_same_bytes(tmp_path: Path) -> None:
    rng, found = random.Random(SEED), []
    with WarmCurate() as warm:
        runs = Disturbed(tmp_path, warm)
        for name in runs.steps:
            told = {fault: runs.disturb(name, fault) for fault in points(runs.calm(name), POINTS, rng)}
            found += [f"{name}, {fault}: {wrong}" for fault, wrong in told.items() if wrong]
    assert not found, "\n".join(found)
