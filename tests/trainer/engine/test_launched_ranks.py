"""Ranks that `--devices` and torchrun launch: two machines give the weights of one; SIGTERM costs no step."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

TRAINER = [sys.executable, "-c", "from trainer.cli import main; main()"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--no-python"]


class Launch:
    """Starts a pretraining run of some steps with a launcher before it."""

    def __init__(self, images: Path, settings: list[str]) -> None:
        words = [*settings, "data.workers=1", "schedules.warmup_steps=1", "run.checkpoint_every_steps=1000"]
        self._given = ["--config", "cpu", "--data", str(images), *(part for word in words for part in ("--set", word))]

    def __call__(self, out: Path, steps: int, *words: str, launcher: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        command = [*launcher, *TRAINER, "pretrain", "--out", str(out), "--steps", str(steps), *self._given, *words]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


@pytest.fixture
def launch(labelled_images: Path, tiny_settings: list[str]) -> Launch:
    return Launch(labelled_images, tiny_settings)


def said(process: subprocess.Popen[bytes], code: int = 0) -> str:
    """What a process has said when it has ended, with this exit code."""
    text = process.communicate(timeout=250)[1].decode()
    assert process.returncode == code, text
    return text


@pytest.mark.slow
def test_two_machines_under_torchrun_give_the_weights_of_two_ranks_of_one(launch: Launch, tmp_path: Path) -> None:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        meet = f"127.0.0.1:{door.getsockname()[1]}"
    both = ["--nnodes", "2", "--nproc-per-node", "1", "--rdzv-backend", "c10d", "--rdzv-endpoint", meet]
    machines = [launch(tmp_path / "two", 6, launcher=(*TORCHRUN, *both, "--local-addr", "127.0.0.1")) for _ in range(2)]
    for machine in machines:
        said(machine)
    said(launch(tmp_path / "one", 6, "--devices", "2"))
    for name in ("model.safetensors", "heads.safetensors"):
        assert (tmp_path / "two/export" / name).read_bytes() == (tmp_path / "one/export" / name).read_bytes()


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.parametrize("launcher", ["devices", "torchrun"])
def test_sigterm_to_the_launcher_ends_all_ranks_with_a_checkpoint_and_the_same_command_goes_on(
    launch: Launch, tmp_path: Path, launcher: str
) -> None:
    out, steps = tmp_path / "run", 100

    def start() -> subprocess.Popen[bytes]:
        if launcher == "devices":
            return launch(out, steps, "--devices", "2")
        return launch(out, steps, launcher=(*TORCHRUN, "--standalone", "--nproc-per-node", "2"))

    process, metrics, end = start(), out / "metrics.jsonl", time.monotonic() + 120
    while not metrics.exists() or metrics.read_bytes().count(b"\n") < 3:
        assert process.poll() is None and time.monotonic() < end, process.communicate()
        time.sleep(0.005)
    process.terminate()
    told = said(process, 128 + signal.SIGTERM if launcher == "devices" else 1)
    found = [int(folder.name.removeprefix("step_")) for folder in (out / "checkpoints").glob("step_*")]
    assert len(found) == 1 and 3 <= found[0] < steps, told
    assert f"stopped after step {found[0]} of {steps}" in told

    assert f"going on from step {found[0]} of {steps}" in said(start())
    assert (out / "run.json").is_file()
