"""Every way to distil, killed with SIGKILL at any moment and started again, ends as an undisturbed run does."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from trainer.export.model_folder import ModelDescription, export_model
from trainer.models.heads import HeadSettings, PrototypeHead
from trainer.models.vision_transformer import VisionTransformer, VitSettings

STEPS = 12
WORDS = [
    "run.batch_size=4",
    "run.device=cpu",
    "run.log_every_steps=1",
    "run.checkpoint_every_steps=2",
    "data.workers=1",
    "pictures.every_steps=3",
]
NEW_HEADS = [f"objective.heads.{part}={{prototypes: 8, hidden_dim: 8, bottleneck_dim: 4}}" for part in ("dino", "ibot")]
MODES = {
    "exact": ("vitn8", "dino_head", ["objective.ibot_tokens=subset"]),
    "new heads": ("vitn8", "", ["objective.kind=prototypes", "teacher.head_steps=8", *NEW_HEADS]),
    "features": ("vitn8 vitn4", "", ["objective.relations.patch_gram=1"]),
    "cache": ("vitn8", "dino_head", ["teacher.cache.gib=1", "teacher.cache.crop_sets=1"]),
}


def teacher(folder: Path, heads: str) -> Path:
    torch.manual_seed(0)
    settings = VitSettings(24, 2, 2, patch_size=4, image_size=16, layer_scale=1.0)
    modules = nn.ModuleDict({"backbone": VisionTransformer(settings)})
    if heads:
        modules[heads] = PrototypeHead(24, HeadSettings(prototypes=12, hidden_dim=16, bottleneck_dim=6, layers=2))
    return export_model(modules, ModelDescription("vitx4", "dinov2"), folder)


def start(command: list[str]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def kill_after(process: subprocess.Popen[bytes], metrics: Path, lines: int) -> None:
    """SIGKILL once the job has logged so many lines in all, at a moment that falls anywhere in a step."""
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if metrics.exists() and metrics.read_bytes().count(b"\n") >= lines:
            break
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def models(run: Path) -> dict[str, str]:
    files = sorted((run / "export").rglob("*.safetensors"))
    return {str(file.relative_to(run)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.parametrize("mode", sorted(MODES))
def test_killed_at_a_random_moment_ends_the_same(tmp_path: Path, mode: str) -> None:
    students, heads, more = MODES[mode]
    images = tmp_path / "images"
    images.mkdir()
    rng = np.random.default_rng(1)
    for number in range(12):
        Image.fromarray(rng.integers(0, 255, (20, 20, 3), dtype=np.uint8)).save(images / f"{number}.png")
    command = [sys.executable, "-c", "from distill.cli import main; main()", "run", "--config", "cpu"]
    command += ["--data", str(images), "--teacher", str(teacher(tmp_path / "teacher", heads)), "--steps", str(STEPS)]
    command += [word for student in students.split() for word in ("--student", student)]
    command += [word for setting in (*WORDS, *more) for word in ("--set", setting)]

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    process = start([*command, "--out", str(whole)])
    assert process.wait() == 0, process.communicate()[1].decode()
    moments = random.Random(os.getpid())
    jobs = [killed / "teacher_heads", killed] if mode == "new heads" else [killed]
    for job in jobs:
        kill_after(start([*command, "--out", str(killed)]), job / "metrics.jsonl", moments.randint(1, 6))
        assert not (killed / "run.json").exists(), "the kill came too late to show anything"
    process = start([*command, "--out", str(killed)])
    assert process.wait() == 0, process.communicate()[1].decode()
    assert models(killed) == models(whole)
    assert models(whole)
