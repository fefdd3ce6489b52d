"""A disk that is really full: a small file system, filled to the last pages. Needs the right to mount one."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.faults.curation.every_step import Disturbed, Step
from tests.faults.curation.warm_curate import Ended, Fault, WarmCurate

STEPS = ("ingest", "dedup ivf", "build keeping", "ingest more kept", "dedup more kept", "build kept")
FULL = Fault(disk_full=True)
FREE_PAGES = (0, 2, 8)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


class OnSmallDisk(Disturbed):
    """Disturbed runs find the disk filled but for `free_bytes`; `ends` holds how they ended."""

    free_bytes = 0

    def __init__(self, disk: Path, warm: WarmCurate) -> None:
        self._disk, self.ends = disk, list[int]()
        super().__init__(disk, warm, STEPS)

    def _run(self, step: Step, fault: Fault | None) -> Ended:
        if fault is None:
            return super()._run(step, None)
        filler = self._disk / "filler"
        with filler.open("wb") as handle:
            handle.write(bytes(max(0, shutil.disk_usage(self._disk).free - self.free_bytes)))
        try:
            ended = super()._run(step, fault)
        finally:
            filler.unlink()
        self.ends.append(ended.code)
        return ended


@pytest.mark.slow
@pytest.mark.faults
def test_a_full_disk_is_one_sentence_and_with_room_again_the_bytes_are_the_same(disk: Path) -> None:
    with WarmCurate() as warm:
        runs = OnSmallDisk(disk, warm)
        for name in STEPS:
            runs.calm(name)
            for pages in FREE_PAGES:
                runs.free_bytes = pages * 4096
                assert not runs.disturb(name, FULL), (name, pages)
            assert runs.ends[-len(FREE_PAGES)] == 2, f"{name} did not meet the full disk"
