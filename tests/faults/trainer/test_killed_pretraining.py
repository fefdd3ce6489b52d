"""A run that is killed with SIGKILL at any moment and started again ends with the weights of an undisturbed one."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

STEPS = 24
TINY = """
model: {arch: vitn4, drop_path_rate: 0.2}
crops: {global_px: 16, local_px: 8, local_crops: 2}
heads:
  dino: {prototypes: 16, hidden_dim: 16, bottleneck_dim: 8}
  ibot: {prototypes: 16, hidden_dim: 16, bottleneck_dim: 8}
schedules: {warmup_steps: 2, teacher_temp_warmup_steps: 4, freeze_last_layer_steps: 1}
data: {workers: 1}
run: {steps: 24, batch_size: 4, log_every_steps: 1, checkpoint_every_steps: 3, device: cpu}
"""


def command(out: Path, images: Path, config: Path) -> list[str]:
    words = ["pretrain", "--data", str(images), "--config", str(config), "--out", str(out)]
    return [sys.executable, "-c", "from trainer.cli import main; main()", *words]


def kill_after(process: subprocess.Popen[bytes], metrics: Path, lines: int) -> None:
    """SIGKILL once the run has logged so many lines since now, at a moment that falls anywhere in a step."""
    before = metrics.read_bytes().count(b"\n") if metrics.exists() else 0
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        # A resumed run drops the lines that come again, so the count may first fall.
        found = metrics.read_bytes().count(b"\n") if metrics.exists() else 0
        before = min(before, found)
        if found >= before + lines:
            break
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.faults
def test_killed_at_random_moments_ends_the_same(tmp_path: Path) -> None:
    images, config = tmp_path / "images", tmp_path / "tiny.yaml"
    images.mkdir()
    rng = np.random.default_rng(1)
    for number in range(10):
        Image.fromarray(rng.integers(0, 255, (20, 20, 3), dtype=np.uint8)).save(images / f"{number}.png")
    config.write_text(TINY)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command(tmp_path / "whole", images, config), check=True, env=environment, capture_output=True)

    killed = tmp_path / "killed"
    moments = random.Random(os.getpid())
    for _ in range(2):
        process = subprocess.Popen(
            command(killed, images, config), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        kill_after(process, killed / "metrics.jsonl", moments.randint(1, 7))
        assert not (killed / "run.json").exists(), "the kill came too late to show anything"
    subprocess.run(command(killed, images, config), check=True, env=environment, capture_output=True)

    assert len((killed / "metrics.jsonl").read_text().splitlines()) == STEPS
    for name in ("model.safetensors", "heads.safetensors"):
        assert (killed / "export" / name).read_bytes() == (tmp_path / "whole" / "export" / name).read_bytes()


@pytest.mark.faults
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_all_processes_ends_with_a_checkpoint_and_the_run_goes_on(tmp_path: Path, number: int) -> None:
    """As Ctrl-C in a terminal, the stop of a Ray job and scancel send it: loader processes get it as well."""
    images, config = tmp_path / "images", tmp_path / "tiny.yaml"
    images.mkdir()
    rng = np.random.default_rng(1)
    for image in range(10):
        Image.fromarray(rng.integers(0, 255, (20, 20, 3), dtype=np.uint8)).save(images / f"{image}.png")
    config.write_text(TINY.replace("steps: 24", "steps: 4000").replace("every_steps: 3", "every_steps: 4000"))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command(tmp_path / "run", images, config), env=environment, start_new_session=True, stderr=subprocess.PIPE
    )
    metrics, deadline = tmp_path / "run" / "metrics.jsonl", time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if metrics.exists() and metrics.read_bytes().count(b"\n") >= 3:
            break
        time.sleep(0.01)
    os.killpg(process.pid, number)
    said = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 128 + number, said
    assert "Traceback" not in said
    assert list((tmp_path / "run" / "checkpoints").glob("step_*"))
