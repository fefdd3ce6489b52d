"""What a run tells: metrics, progress and warnings, gathered from the steps."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import torch

from trainer.data.batch import CropBatch
from trainer.engine.health import HealthWatch
from trainer.engine.metrics_log import MetricsLog, read_metrics
from trainer.engine.progress import SilentProgress, open_progress
from trainer.engine.ranks import is_first
from trainer.engine.run_folder import RunFolder
from trainer.engine.step import StepReport
from trainer.engine.train_state import Progress
from trainer.losses.across_ranks import world_size
from trainer.methods.method import StepKnobs

NAMED_ALOUD = 10
"""Skipped images that are told; the run folder names them all."""


@dataclass(frozen=True)
class Work:
    """What MFU is worked out from: operations per image by formula, and per second at most on one device."""

    flops_per_image: float
    peak_flops: float


class Recorder:
    """Turns steps into records: one line of metrics every `log_every` steps, progress at every step.

    Of several ranks, the first one writes and speaks.

    Units: `images_per_second`, `data_wait` (share of the time spent waiting for batches) and `mfu` (operations over
    what all devices could do, where `work` is known) are over the steps since the record before; `memory_gib` is the
    peak so far of the process or of the GPU; `seconds_left` is at the pace since the end of the first step, when the
    first probe is over, with all that lay between.
    """

    def __init__(
        self, run: RunFolder, total_steps: int, log_every: int, *, goes_on: bool = False, work: Work | None = None
    ) -> None:
        self._run = run
        self._total_steps = total_steps
        self._log_every = log_every
        self._work = work
        self._first: tuple[int, float] | None = None
        self._display = open_progress(total_steps) if is_first() else SilentProgress()
        self._health = HealthWatch(total_steps, goes_on=goes_on)
        self._log: MetricsLog | None = None
        self._stack = ExitStack()
        self._step = 0
        self._named = 0
        self.last: Mapping[str, Any] = {}
        self._reset_clock()

    def __enter__(self) -> Recorder:
        self._stack.enter_context(self._display)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, at)

    def begin(self, progress: Progress) -> None:
        """Open the metrics behind what a resumed run has written before."""
        self._step = progress.step
        first_step = progress.step + 1 if progress.step else 0
        if not is_first():
            return
        self._log = self._stack.enter_context(MetricsLog(self._run, first_step))
        for record in read_metrics(self._run.metrics):
            self._health.remember(record)
            self._health.probed(record)
        self._display.begin(progress.step)
        self._reset_clock()

    def say(self, text: str) -> None:
        """One line for the user."""
        self._display.say(text)

    def warn(self, text: str) -> None:
        """One line that the user should act on; the run folder keeps it."""
        self._display.say(f"warning: {text}")
        if self._log is not None:
            self._log.warn(self._step, text)

    def is_due(self, step: int) -> bool:
        """True when the step gets a line of metrics: the first, every `log_every`th and the last."""
        return step == 1 or step % self._log_every == 0 or step == self._total_steps

    def waited_for(self, take: Callable[[], list[CropBatch]]) -> list[CropBatch]:
        """Take the batches of a step and add up the time this took."""
        began = time.perf_counter()
        batches = take()
        self._wait_seconds += time.perf_counter() - began
        return batches

    def record(
        self,
        progress: Progress,
        knobs: StepKnobs,
        report: StepReport,
        batches: Sequence[CropBatch],
        skipped_images: int,
    ) -> None:
        """One step is done."""
        self._step = progress.step
        self._images += sum(len(batch.keys) for batch in batches) * world_size()
        speed = self._speed(progress.step)
        self._display.update(progress.step, report.total, speed)
        if report.skipped:
            self.warn(f"step {progress.step} was skipped: {report.reason}")
        if not self.is_due(progress.step):
            return
        self.last = {
            "loss": report.total,
            **{f"terms/{name}": value for name, value in report.terms.items()},
            **{f"official/{name}": value for name, value in report.logged.items()},
            **{f"diagnostics/{name}": value for name, value in report.diagnostics.items()},
            **{f"gradient_norm/{name}": value for name, value in report.clip_norms.items()},
            **{f"knobs/{name}": getattr(knobs, name) for name in _KNOBS},
            **speed,
            "skipped_steps": progress.skipped_in_all,
            "skipped_images": skipped_images,
        }
        self._write(progress.step, self.last)
        for warning in self._health.seen(progress.step, report.diagnostics):
            self.warn(warning)
        self._reset_clock()

    def name_skipped(self, images: Sequence[tuple[str, str]]) -> None:
        """Images that could not be used, and why: every rank adds its own to the run folder, a few are told."""
        if not images:
            return
        self._run.root.mkdir(parents=True, exist_ok=True)
        with self._run.skipped_images.open("a", encoding="utf-8", errors="surrogateescape") as file:
            for key, reason in images:
                file.write(json.dumps({"image": key, "reason": reason}) + "\n")
        for key, reason in images[: max(NAMED_ALOUD - self._named, 0)]:
            self.say(f"the image {key} is skipped: {reason}")
        if self._named <= NAMED_ALOUD < self._named + len(images):
            self.say(f"more images are skipped: {self._run.skipped_images} names them")
        self._named += len(images)

    def record_probe(self, step: int, numbers: Mapping[str, float]) -> None:
        """The result was probed after a step; 0 is before the first."""
        record = {f"probe/{name}": value for name, value in numbers.items()}
        self._write(step, record)
        self.say(f"step {step}: " + ", ".join(f"{name} {value:.3f}" for name, value in numbers.items()))
        for warning in self._health.probed({"step": step, **record}):
            self.warn(warning)
        self._reset_clock()

    def record_pictures(self, step: int, pictures: Mapping[str, Any]) -> None:
        """The first rank painted the result after a step: uint8 [H, W, 3] each, by name."""
        assert self._log is not None, "begin() comes first"
        self._log.write_pictures(step, pictures)
        self._reset_clock()

    def probes(self) -> list[dict[str, Any]]:
        """Records of all probes of the run, also of those before it was resumed."""
        return [record for record in read_metrics(self._run.metrics) if any(key.startswith("probe/") for key in record)]

    def _speed(self, step: int) -> dict[str, float]:
        now = time.perf_counter()
        seconds = max(now - self._clock, 1e-9)
        found = {"images_per_second": self._images / seconds, "data_wait": self._wait_seconds / seconds}
        found["memory_gib"] = _peak_memory_gib()
        if self._work is not None:
            of_a_device = found["images_per_second"] / world_size()
            found["mfu"] = of_a_device * self._work.flops_per_image / self._work.peak_flops
        first_step, began = self._first = self._first or (step, now)
        if step > first_step:
            found["seconds_left"] = (now - began) / (step - first_step) * (self._total_steps - step)
        return found

    def _write(self, step: int, record: Mapping[str, Any]) -> None:
        if is_first():
            assert self._log is not None, "begin() comes first"
            self._log.write(step, record)

    def _reset_clock(self) -> None:
        self._clock = time.perf_counter()
        self._wait_seconds = 0.0
        self._images = 0


_KNOBS = ("lr", "weight_decay", "teacher_momentum", "teacher_temp", "last_layer_lr")


def _peak_memory_gib() -> float:
    """Peak memory of the GPU if one is used, else of this process."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated() / 2**30
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**30 if sys.platform == "darwin" else 2**20)
