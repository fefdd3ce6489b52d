"""Checkpoints are published whole, pruned, and passed over when they were cut short."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from contracts.errors import BrokenArtifact, NewerVersion
from contracts.publish import publish_json, read_json
from trainer.engine.checkpoint import (
    HEADER_FILE,
    load_tensors,
    newest_checkpoint,
    open_checkpoint,
    prune_checkpoints,
    save_checkpoint,
    tensor_layout,
)


def save(folder: Path, step: int) -> Path:
    tensors = {"weights": {"a.b": torch.full((3, 2), float(step)), "c": torch.tensor(step)}}
    return save_checkpoint(folder, step, tensors, {"position": 10 * step}, config_sha256="0" * 64)


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(save(tmp_path, 5))
    assert (checkpoint.step, checkpoint.fields["position"]) == (5, 50)
    tensors = {"weights": {"a.b": torch.zeros(3, 2), "c": torch.tensor(0)}}
    load_tensors(checkpoint, tensors)
    assert torch.equal(tensors["weights"]["a.b"], torch.full((3, 2), 5.0))
    assert int(tensors["weights"]["c"]) == 5
    assert tensor_layout(checkpoint)["weights.a.b"] == (torch.Size([3, 2]), torch.float32)


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 3, 12):
        save(tmp_path, step)
    prune_checkpoints(tmp_path, 2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step_00000003", "step_00000012"]


@pytest.mark.parametrize("harm", ["shorten", "empty", "remove"])
def test_a_checkpoint_with_any_file_harmed_is_passed_over(tmp_path: Path, harm: str) -> None:
    save(tmp_path / "whole", 1)
    names = sorted(file.name for file in save(tmp_path / "whole", 2).iterdir())
    assert HEADER_FILE in names
    assert len(names) >= 3
    for name in names:
        folder = tmp_path / name.lstrip(".")
        shutil.copytree(tmp_path / "whole", folder)
        file = folder / "step_00000002" / name
        if harm == "remove":
            file.unlink()
        else:
            file.write_bytes(file.read_bytes()[:-2] if harm == "shorten" else b"")  # the last may be a newline
        found, ignored = newest_checkpoint(folder)
        assert found is not None, name
        assert found.step == 1, name
        assert len(ignored) == 1
        assert "step_00000002" in ignored[0]


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path / "missing") == (None, [])


def test_a_newer_format_is_refused_and_named(tmp_path: Path) -> None:
    path = save(tmp_path, 1)
    publish_json(path / HEADER_FILE, {**read_json(path / HEADER_FILE), "version": 99})
    with pytest.raises(NewerVersion):
        open_checkpoint(path)
    publish_json(path / HEADER_FILE, {**read_json(path / HEADER_FILE), "format": "other", "version": 1})
    with pytest.raises(BrokenArtifact):
        open_checkpoint(path)


FULL_DISK = """
import resource, sys
from pathlib import Path
import torch
from contracts.errors import UserError
from trainer.engine.checkpoint import newest_checkpoint, save_checkpoint
folder = Path(sys.argv[1])
small, large = {"a": torch.zeros(10)}, {"a": torch.zeros(1_000_000)}
save_checkpoint(folder, 1, small, {}, config_sha256="0" * 64)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
try:
    save_checkpoint(folder, 2, large, {}, config_sha256="0" * 64)
except UserError as error:
    print(error)
found, ignored = newest_checkpoint(folder)
print(found.step, ignored, sorted(p.name for p in folder.iterdir()))
"""


@pytest.mark.faults
def test_a_disk_without_room_is_told_and_the_checkpoint_before_is_whole(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk: the same system call fails in the same place."""
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, timeout=120, check=True
    )
    told, state = done.stdout.strip().splitlines()
    assert told.startswith("the disk is full while writing the checkpoint of step 2")
    assert state == "1 [] ['step_00000001']"
