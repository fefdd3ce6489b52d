"""Checkpoints: torch distributed checkpoints in folders that are published whole.

    checkpoints/step_00001000/
        .metadata  __0_0.distcp ...     weights, averages, optimiser, random states (torch.distributed.checkpoint)
        checkpoint.json                 header, written last: step, data position, sizes of the files

The folder is a draft until everything is written, then renamed. One that was cut short afterwards (a file is missing
or shorter than the header says) is ignored in favour of the one before.
"""

from __future__ import annotations

import re
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from contracts.errors import UserError
from contracts.header import read_header, write_header
from contracts.publish import NO_SPACE, draft
from trainer.engine.ranks import from_first, is_first, wait_for_all

FORMAT, VERSION = "winnow.checkpoint", 1
HEADER_FILE = "checkpoint.json"
_NAME = re.compile(r"step_(\d{8,})")
_TORCH_CANNOT_WRITE = ("inline_container", "PytorchStreamWriter")


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint on disk; `fields` is what its header says."""

    path: Path
    fields: Mapping[str, Any]

    @property
    def step(self) -> int:
        """Optimiser steps that were done."""
        return int(self.fields["step"])


def save_checkpoint(
    folder: Path, step: int, tensors: Mapping[str, Any], fields: Mapping[str, Any], *, config_sha256: str
) -> Path:
    """Publish one checkpoint of nested dicts of tensors.

    Errors: UserError when the disk is full; the checkpoints that are there stay whole.
    """
    with telling_full_disk(folder, step), _draft_of_all_ranks(folder, step) as rough, Quiet():
        save(dict(tensors), checkpoint_id=rough, no_dist=not dist.is_initialized())
        if is_first():
            complete_checkpoint(rough, step, fields, config_sha256=config_sha256)
    return folder / _name(step)


def checkpoint_path(folder: Path, step: int) -> AbstractContextManager[Path]:
    """A draft of a checkpoint's folder, published when the block ends well."""
    return draft(folder / _name(step))


def complete_checkpoint(rough: Path, step: int, fields: Mapping[str, Any], *, config_sha256: str) -> None:
    """Write the header of a checkpoint whose other files are all written."""
    sizes = {file.name: file.stat().st_size for file in sorted(rough.iterdir())}
    write_header(
        rough / HEADER_FILE,
        format_name=FORMAT,
        version=VERSION,
        config_sha256=config_sha256,
        fields={**fields, "step": step, "files": sizes},
    )


@contextmanager
def telling_full_disk(folder: Path, step: int) -> Iterator[None]:
    """Turn what a full disk raises into a UserError."""
    try:
        yield
    except (Exception, CheckpointException) as error:  # torch's own derives from BaseException
        if _disk_is_full(error):
            before = "the checkpoint before is intact" if any(_step_folders(folder)) else "there is none before it"
            raise UserError(
                f"the disk is full while writing the checkpoint of step {step} to {folder}: free some space and run "
                f"the same command again ({before})"
            ) from error
        raise


@contextmanager
def _draft_of_all_ranks(folder: Path, step: int) -> Iterator[Path]:
    """One draft that every rank writes to; the first rank makes it, and publishes it when all have written."""
    if is_first():
        with checkpoint_path(folder, step) as rough:
            yield from_first(rough)
            wait_for_all()
    else:
        yield from_first(None)
        wait_for_all()
    wait_for_all()


def load_tensors(checkpoint: Checkpoint, tensors: dict[str, Any]) -> None:
    """Read a checkpoint's tensors into those given, in place."""
    with Quiet():
        load(tensors, checkpoint_id=checkpoint.path, no_dist=not dist.is_initialized())


def tensor_layout(checkpoint: Checkpoint) -> dict[str, tuple[torch.Size, torch.dtype]]:
    """Shape and type of every tensor in a checkpoint, by its dotted name."""
    metadata = FileSystemReader(checkpoint.path).read_metadata()
    return {
        name: (entry.size, entry.properties.dtype)
        for name, entry in metadata.state_dict_metadata.items()
        if isinstance(entry, TensorStorageMetadata)
    }


def newest_checkpoint(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest whole checkpoint, and one phrase on each newer one that is not whole."""
    ignored: list[str] = []
    for path in sorted(_step_folders(folder), key=_step_of, reverse=True):
        try:
            return open_checkpoint(path), ignored
        except UserError as error:
            ignored.append(f"{path.name} is ignored: {error}")
    return None, ignored


def open_checkpoint(path: Path) -> Checkpoint:
    """Check that a checkpoint is whole. Errors: MissingInput, BrokenArtifact, NewerVersion, UserError (cut short)."""
    fields = read_header(path / HEADER_FILE, format_name=FORMAT, version=VERSION, made_with="trainer pretrain")
    for name, size in fields["files"].items():
        file = path / name
        found = file.stat().st_size if file.is_file() else 0
        if found != size:
            raise UserError(f"its file {name} has {found} bytes where {size} were written, so it was cut short")
    return Checkpoint(path, fields)


def prune_checkpoints(folder: Path, keep: int) -> None:
    """Remove all but the newest `keep` checkpoints."""
    for path in sorted(_step_folders(folder), key=_step_of)[:-keep]:
        shutil.rmtree(path, ignore_errors=True)


def _step_folders(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from (path for path in folder.iterdir() if _NAME.fullmatch(path.name))


def _name(step: int) -> str:
    return f"step_{step:08d}"


def _step_of(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    assert match is not None
    return int(match[1])


def _disk_is_full(error: BaseException | None) -> bool:
    """True when the error, or one that led to it, says that no more bytes could be written.

    torch's own writer loses the system's error and says that its file ended too early.
    """
    if error is None:
        return False
    if isinstance(error, OSError) and error.errno in NO_SPACE:
        return True
    if isinstance(error, RuntimeError | CheckpointException) and any(
        words in str(error) for words in _TORCH_CANNOT_WRITE
    ):
        return True
    return _disk_is_full(error.__cause__) or _disk_is_full(error.__context__)


class Quiet(warnings.catch_warnings):
    """Silence torch's remarks on single-process use."""

    def __enter__(self) -> None:
        super().__enter__()
        warnings.simplefilter("ignore")
