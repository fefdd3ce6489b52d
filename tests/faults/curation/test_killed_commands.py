"""Every step of curate, killed with SIGKILL while it writes and typed again, ends with the bytes of a calm run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.curation.small_pool import SmallPool, make_small_pool

STEPS = {
    "ingest": ["ingest", "--set", "ingest.part_images=5"],
    "dedup": ["dedup", "--index", "faiss", "--set", "embed.part_rows=5"],
    "retrieve": ["retrieve", "--seed", "warm", "--as-is", "--set", "embed.part_rows=5"],
    "build": ["build", "--set", "write.shard_samples=3"],
}
KILLS_PER_STEP = 2


def start(small: SmallPool, arguments: list[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "curation.cli", *arguments, "--engine", "local", "-w", str(small.workspace.root)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, **quiet)


def content(root: Path) -> dict[str, bytes]:
    """All that a workspace publishes; curate.yaml and paths of the run do not count."""
    files = (file for file in root.rglob("*") if file.is_file() and file.name != "curate.yaml")
    return {str(file.relative_to(root)): file.read_bytes() for file in files}


def kill_while_it_writes(running: subprocess.Popen[bytes], root: Path, files: int) -> bool:
    """SIGKILL once so many files came or went since the start. False when the command was done before."""
    before = set(root.rglob("*"))
    while running.poll() is None:
        if len(before ^ set(root.rglob("*"))) >= files:
            running.send_signal(signal.SIGKILL)
            running.wait()
            return True
        time.sleep(0.002)
    assert running.returncode == 0
    return False


@pytest.mark.faults
def test_every_command_killed_while_it_writes(tmp_path: Path) -> None:
    small = make_small_pool(tmp_path)
    root, settings = small.workspace.root, small.workspace.settings.read_bytes()
    for arguments in STEPS.values():
        assert start(small, arguments).wait(timeout=120) == 0
    calm = content(root)
    for file in sorted(root.rglob("*"), reverse=True):
        file.unlink() if file.is_file() else file.rmdir()
    small.workspace.settings.write_bytes(settings)
    kills = 0
    for arguments in STEPS.values():
        for number in range(KILLS_PER_STEP):
            kills += kill_while_it_writes(start(small, arguments), root, 1 + 5 * number)
        assert start(small, arguments).wait(timeout=120) == 0
    assert kills >= len(STEPS)
    assert content(root) == calm
