"""Checkpoints that are written while training goes on: copied to memory at once, to disk by a thread."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch.distributed as dist
from torch.distributed.checkpoint.state_dict_saver import AsyncSaveResponse, async_save

from trainer.engine.checkpoint import Quiet, checkpoint_path, complete_checkpoint, prune_checkpoints, telling_full_disk
from trainer.engine.ranks import from_first, is_first
from trainer.losses.across_ranks import world_size


class BackgroundCheckpoints:
    """Writes one checkpoint at a time, all ranks together; one is published when its last byte is written.

    Until then its folder is a draft, which the next run removes. Every rank makes the same calls.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        self._folder, self._keep = folder, keep
        self._draft = ExitStack()
        self._writing: Future[Any] | None = None
        self._header: dict[str, Any] = {}
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")  # said by the thread
        # The thread's messages between ranks must not mix with those of the training step.
        self._group = dist.new_group(backend="gloo") if world_size() > 1 else None

    def begin(self, step: int, tensors: Mapping[str, Any], fields: Mapping[str, Any], *, config_sha256: str) -> None:
        """Copy the tensors and begin to write them; waits for the checkpoint before.

        Errors: UserError when the disk was full for the one before.
        """
        self.finish()
        self._header = {"step": step, "fields": fields, "config_sha256": config_sha256}
        place = self._draft.enter_context(checkpoint_path(self._folder, step)) if is_first() else None
        self._rough = from_first(place)
        with Quiet():
            begun = async_save(
                dict(tensors),
                checkpoint_id=self._rough,
                process_group=self._group,
                no_dist=self._group is None,
            )
        self._writing = begun.upload_completion if isinstance(begun, AsyncSaveResponse) else begun

    def publish_if_written(self) -> None:
        """Publish the checkpoint that was begun, if its last byte is written."""
        if self._writing is not None and self._writing.done():
            self.finish()

    def finish(self) -> None:
        """Wait for the checkpoint that was begun, and publish it. Errors: UserError when the disk is full."""
        if self._writing is None:
            return
        writing, self._writing = self._writing, None
        with telling_full_disk(self._folder, self._header["step"]), self._draft:
            writing.result()
            if is_first():
                complete_checkpoint(self._rough, **self._header)
        if is_first():
            prune_checkpoints(self._folder, self._keep)
