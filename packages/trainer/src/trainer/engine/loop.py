"""The training loop: method-agnostic, it reads like the algorithm box of a paper.

resume from the newest whole checkpoint, or start
repeat: take batches, look up the knobs, take a step, record it, now and then probe, checkpoint, export
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import torch

from contracts.errors import UserError
from contracts.publish import remove_drafts
from trainer.data.batch import CropBatch
from trainer.engine.background_checkpoint import BackgroundCheckpoints
from trainer.engine.checkpoint import newest_checkpoint, prune_checkpoints, save_checkpoint
from trainer.engine.device import autocast_dtype
from trainer.engine.freed_memory import keep_freed_memory
from trainer.engine.ranks import is_first, largest, wait_for_all
from trainer.engine.recorder import Recorder, Work
from trainer.engine.run_folder import RunFolder
from trainer.engine.shard import whole_modules
from trainer.engine.step import StepReport, training_step
from trainer.engine.stop_signal import StopSignal
from trainer.engine.train_state import Progress, restore_state, state_tensors
from trainer.methods.method import Method, StepKnobs

Probe = Callable[[torch.nn.Module], Mapping[str, float]]
Pictures = Callable[[torch.nn.Module, int], Mapping[str, Any]]
Export = Callable[[torch.nn.ModuleDict, int, Path], None]
Seen = TypeVar("Seen")


@dataclass(frozen=True)
class LoopSettings:
    """Length and rhythm of a run, in optimiser steps; 0 means never for those that end in _every.

    `accumulate` micro-batches make one step; `clip_norm` limits the gradient norm of each part of the student;
    for `freeze_backbone_steps` the student is trained without its backbone; `max_skipped` non-finite steps in a row end
    the run. `goes_on`: the weights are those of a run that ended.
    """

    total_steps: int
    accumulate: int = 1
    clip_norm: float | None = 3.0
    freeze_backbone_steps: int = 0
    precision: str = "fp32"
    log_every: int = 10
    checkpoint_every: int = 1000
    keep_checkpoints: int = 2
    background_checkpoints: bool = False
    probe_every: int = 0
    pictures_every: int = 0
    export_every: int = 0
    max_skipped: int = 20
    goes_on: bool = False


@dataclass
class TrainJob:
    """Everything the loop needs: what is trained, with what knobs, on which batches, written where.

    `open_stream(position)` gives batches from a position on, without end. `probe` takes the backbone of
    method.result() and returns numbers to record, `pictures` takes it and the step and returns pictures to record;
    `export` publishes method.result() as a model folder. `work` is what MFU is worked out from, where it is known.
    `identity_sha256` names the settings and the data, and is written into checkpoints.
    """

    method: Method
    optimizer: torch.optim.Optimizer
    knobs: Callable[[int], StepKnobs]
    open_stream: Callable[[int], Iterable[CropBatch]]
    run: RunFolder
    settings: LoopSettings
    identity_sha256: str
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    probe: Probe | None = None
    pictures: Pictures | None = None
    export: Export | None = None
    work: Work | None = None


@dataclass(frozen=True)
class TrainOutcome:
    """How a call of `train` ended: steps done, by which signal it was stopped (None: finished), what it measured."""

    step: int
    stopped_by: int | None
    seconds: float
    skipped_steps: int
    last: Mapping[str, Any]
    probes: tuple[Mapping[str, Any], ...]


def train(job: TrainJob, told_to_stop: Callable[[], int] = lambda: 0) -> TrainOutcome:
    """Run a job to its end, from wherever it stands.

    `told_to_stop` is asked after every step: the number of a signal ends the run as if it had come, 0 does not.
    Errors: UserError when the loss stays non-finite or the disk is full; the last checkpoint stays whole.
    """
    began, settings = time.monotonic(), job.settings
    if job.device.type == "cpu":
        keep_freed_memory()
    job.method.to(job.device).train()
    with (
        StopSignal() as stop,
        Recorder(
            job.run, settings.total_steps, settings.log_every, goes_on=settings.goes_on, work=job.work
        ) as recorder,
    ):
        progress = _resume(job, recorder)
        recorder.begin(progress)
        if progress.step == 0:
            _look(job, recorder, 0, first_or_last=True)
        stream = _Stream(job, progress.position) if progress.step < settings.total_steps else None
        stopped_by = 0
        checkpoints = _Checkpoints(job)
        while stream is not None and progress.step < settings.total_steps and not stopped_by:
            _freeze_or_thaw(job, progress.step)
            batches = recorder.waited_for(stream.take)
            knobs = replace(job.knobs(progress.step), diagnose=recorder.is_due(progress.step + 1))
            report = _step(job, batches, knobs)
            _count(progress, report, batches, settings.max_skipped)
            recorder.record(progress, knobs, report, batches, stream.skipped_images())
            recorder.name_skipped(stream.newly_skipped())
            _periodic_acts(job, recorder, checkpoints, progress)
            stopped_by = largest(stop.received or told_to_stop(), job.device)
        if stopped_by and progress.step % settings.checkpoint_every:
            checkpoints.save(progress)
        checkpoints.finish()
        if not stopped_by:
            _export(job, progress.step)
        return TrainOutcome(
            step=progress.step,
            stopped_by=stopped_by or None,
            seconds=time.monotonic() - began,
            skipped_steps=progress.skipped_in_all,
            last=recorder.last,
            probes=tuple(recorder.probes()),
        )


def _resume(job: TrainJob, recorder: Recorder) -> Progress:
    """Go on from the newest whole checkpoint, or start.

    Every step takes as many batches as `accumulate` says now: another number of ranks may cut steps into other batches.
    """
    if is_first():
        remove_drafts(job.run.checkpoints)
    wait_for_all()
    checkpoint, ignored = newest_checkpoint(job.run.checkpoints)
    for phrase in ignored:
        recorder.warn(phrase)
    if checkpoint is None:
        return Progress()
    progress = restore_state(checkpoint, job.method, job.optimizer)
    progress.position = progress.step * job.settings.accumulate
    recorder.say(f"going on from step {progress.step} of {job.settings.total_steps}")
    return progress


def _step(job: TrainJob, batches: list[CropBatch], knobs: StepKnobs) -> StepReport:
    """Take one step. Errors: UserError when the device has too little memory for it."""
    settings = job.settings
    try:
        dtype = autocast_dtype(settings.precision)
        return training_step(job.method, job.optimizer, batches, knobs, settings.clip_norm, dtype)
    except torch.OutOfMemoryError as error:
        images = len(batches[0].keys)
        raise UserError(
            f"the memory of {job.device} is too small for {images} images at once: set run.micro_batch_size to a "
            f"smaller part of run.batch_size, such as {max(images // 2, 1)}, and name another --out"
        ) from error


def _freeze_or_thaw(job: TrainJob, step: int) -> None:
    """Only the heads are trained at first, where that is asked for: fresh heads would pull a trained backbone apart."""
    frozen_for = job.settings.freeze_backbone_steps
    if frozen_for and "backbone" in job.method.student:
        job.method.student["backbone"].requires_grad_(step >= frozen_for)


def _count(progress: Progress, report: StepReport, batches: list[CropBatch], max_skipped: int) -> None:
    """Count a step. Errors: UserError after too many non-finite steps in a row."""
    progress.step += 1
    progress.position = batches[-1].position + 1
    progress.skipped_in_a_row = progress.skipped_in_a_row + 1 if report.skipped else 0
    progress.skipped_in_all += report.skipped
    if progress.skipped_in_a_row >= max_skipped:
        raise UserError(
            f"training stopped at step {progress.step}: {report.reason}, and {max_skipped} steps in a row were not "
            "finite; lower optim.lr or optim.clip_norm, or take run.precision=fp32 (the last checkpoint is intact)"
        )


def _periodic_acts(job: TrainJob, recorder: Recorder, checkpoints: _Checkpoints, progress: Progress) -> None:
    """Probe, paint, checkpoint and export when their step has come; all but the last also at the last step."""
    settings, step = job.settings, progress.step
    last = step == settings.total_steps
    _look(job, recorder, step, first_or_last=last)
    if last or _due(step, settings.checkpoint_every):
        checkpoints.save(progress)
    checkpoints.go_on()
    if not last and _due(step, settings.export_every):
        _export(job, step)


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def _look(job: TrainJob, recorder: Recorder, step: int, *, first_or_last: bool) -> None:
    """Probe the result so far and paint it, when it is time for either."""
    probe, paint = job.probe, job.pictures
    if probe and (first_or_last or _due(step, job.settings.probe_every)):
        numbers = _of_backbone(job, probe)
        if numbers is not None:
            recorder.record_probe(step, {name: value for name, value in numbers.items() if math.isfinite(value)})
    if paint and (first_or_last or _due(step, job.settings.pictures_every)):
        pictures = _of_backbone(job, lambda backbone: paint(backbone, step))
        if pictures is not None:
            recorder.record_pictures(step, pictures)


def _of_backbone(job: TrainJob, look: Callable[[torch.nn.Module], Seen]) -> Seen | None:
    """What is seen in the result so far, on the first rank, without touching the random generators of the run."""
    result = whole_modules(job.method.result())
    if not is_first():
        return None
    backbone = result["backbone"].to(job.device)
    devices = [job.device] if job.device.type == "cuda" else []
    training = backbone.training
    with torch.random.fork_rng(devices=devices):
        seen = look(backbone)
    backbone.train(training)
    return seen


def _export(job: TrainJob, step: int) -> None:
    """Publish the result so far, from the first rank and from those that hold parts of their own."""
    if job.export:
        result = whole_modules(job.method.result())
        if is_first() or job.method.publishes_beside_first():
            job.export(result, step, job.run.export)
    wait_for_all()


class _Checkpoints:
    """Saves a job's state, at once or in the background, and keeps the newest few."""

    def __init__(self, job: TrainJob) -> None:
        self._job, self._folder, self._keep = job, job.run.checkpoints, job.settings.keep_checkpoints
        in_background = job.settings.background_checkpoints
        self._writer = BackgroundCheckpoints(self._folder, self._keep) if in_background else None

    def save(self, progress: Progress) -> None:
        """Errors: UserError when the disk is full."""
        tensors, sha256 = state_tensors(self._job.method, self._job.optimizer), self._job.identity_sha256
        if self._writer is not None:
            self._writer.begin(progress.step, tensors, progress.besides_step(), config_sha256=sha256)
            return
        save_checkpoint(self._folder, progress.step, tensors, progress.besides_step(), config_sha256=sha256)
        if is_first():
            prune_checkpoints(self._folder, self._keep)

    def go_on(self) -> None:
        """Publish what the background has written."""
        if self._writer is not None:
            self._writer.publish_if_written()

    def finish(self) -> None:
        """Wait for the background."""
        if self._writer is not None:
            self._writer.finish()
        wait_for_all()


class _Stream:
    """Takes the micro-batches of one step from the job's stream, on the job's device."""

    def __init__(self, job: TrainJob, position: int) -> None:
        self._loader = job.open_stream(position)
        self._batches: Iterator[CropBatch] = iter(self._loader)
        self._accumulate = job.settings.accumulate
        self._device = job.device
        self._named = 0

    def take(self) -> list[CropBatch]:
        return [next(self._batches).to(self._device) for _ in range(self._accumulate)]

    def skipped_images(self) -> int:
        """Images that could not be decoded so far in this call."""
        skipped = getattr(self._loader, "skipped", None)
        return 0 if skipped is None else int(skipped.count)

    def newly_skipped(self) -> list[tuple[str, str]]:
        """Those of them that were not given before, by key, with the reason."""
        skipped = getattr(self._loader, "skipped", None)
        found = [] if skipped is None else list(islice(skipped.reasons.items(), self._named, None))
        self._named += len(found)
        return found
