"""Tuning on request: how many images go through the device at once, and how many processes load them, by measuring.

Images per optimiser step stay as asked: they decide what is learned. What settings name outright is not tuned.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import repeat
from typing import Any

import torch

from contracts.config import plain_values, read_yaml, validate_config
from contracts.errors import ConfigError
from trainer.config.pretrain import PretrainConfig
from trainer.data.batch import CropBatch
from trainer.data.batch_maker import LoaderSettings
from trainer.data.loader import build_loader
from trainer.engine.device import autocast_dtype
from trainer.engine.ranks import launched_ranks
from trainer.engine.run_folder import RunFolder
from trainer.engine.shard import compile_blocks
from trainer.methods.dinov2 import DinoV2
from trainer.optim.knobs import StepKnobs
from trainer.pretrain import PlannedRun, loader_settings, plan_run
from trainer.recipe import method_settings

MOST_SIZES = 5
ROUNDS = 3
LONGEST_TRIAL_SECONDS = 60.0
AS_GOOD = 0.97
"""A cheaper choice within this share of the best is taken."""


@dataclass(frozen=True)
class Trial:
    """One measurement; images per second are of forward and backward passes, None where memory was too small."""

    images_at_once: int
    workers: int
    images_per_second: float | None


@dataclass(frozen=True)
class Tuning:
    """What was chosen, and every measurement it was chosen from."""

    micro_batch_size: int
    workers: int
    trials: tuple[Trial, ...]

    def values(self) -> dict[str, Any]:
        """As nested plain values, for plan.yaml."""
        return {**asdict(self), "trials": [asdict(trial) for trial in self.trials]}


def tuned_run(planned: PlannedRun, name: str, say: Callable[[str], None] = lambda _: None) -> PlannedRun:
    """The same run in the same folder with measured sizes; a run that is there keeps what was measured for it.

    Errors: ConfigError under torchrun (ranks would measure apart), and those of `tune`.
    """
    there = RunFolder(planned.out).plan
    measured = read_yaml(there).get("tuning") if there.is_file() else None
    if measured is None and launched_ranks() > 1:
        raise ConfigError("--tune measures in one process: tune with `trainer plan --tune`, then launch with --set")
    chosen = measured or tune(planned, say).values()
    values = plain_values(planned.config)
    values["run"] |= {"micro_batch_size": chosen["micro_batch_size"]}
    values["data"] |= {"workers": chosen["workers"]}
    config = validate_config(PretrainConfig, values, where="--tune")
    tuned = plan_run(config, name, planned.out, planned.plan.ranks)
    phase = None if planned.then is None else replace(planned.then, identity=tuned.identity)
    return replace(tuned, then=phase, tuning=chosen)


def tune(planned: PlannedRun, say: Callable[[str], None] = lambda _: None) -> Tuning:
    """Measure a few steps at several sizes, then at several numbers of workers; `say` is told each as it is known.

    Errors: ConfigError when no size fits the device's memory.
    """
    config, plan = planned.config, planned.plan
    bench = StepBench(planned)

    def told(size: int, workers: int | None) -> Trial:
        trial = bench.trial(size, workers)
        speed = "too large for the memory"
        if trial.images_per_second is not None:
            speed = f"{trial.images_per_second:.1f} images/s"
        say(f"{size} images at once, {'no loading' if workers is None else f'{workers} workers'}: {speed}")
        return trial

    sizes: list[Trial] = []
    for size in _sizes(planned):
        if sizes and _seconds(sizes[-1], size) > LONGEST_TRIAL_SECONDS:
            say(f"{size} images at once were not tried: {_seconds(sizes[-1], size):.0f} s would pass")
            break
        sizes.append(told(size, None))
    fitting = [trial for trial in sizes if trial.images_per_second is not None]
    if not fitting:
        raise ConfigError(
            f"not even {sizes[0].images_at_once} images at once fit the memory of {plan.device}: take a smaller model, "
            "smaller crops or fewer prototypes"
        )
    size = _best(fitting, lambda trial: -trial.images_at_once).images_at_once
    counts = [config.data.workers] if config.data.workers is not None else _worker_counts(plan.workers)
    loaded = [told(size, count) for count in counts]
    workers = _best(loaded, lambda trial: trial.workers).workers
    say(f"taken: {size} images at once, {workers} workers")
    return Tuning(size, workers, (*sizes, *loaded))


def _sizes(planned: PlannedRun) -> list[int]:
    """Halves of a rank's images, smallest first; one where the settings name it.

    Only a GPU says when its memory is too small: elsewhere sizes above the estimate are left out.
    """
    config, per_rank = planned.config, planned.plan.images_per_rank
    if config.run.micro_batch_size is not None:
        return [config.run.micro_batch_size]
    fewest = 2 if config.losses.koleo_weight else 1
    sizes = [per_rank]
    while sizes[-1] % 2 == 0 and sizes[-1] // 2 >= fewest and len(sizes) < MOST_SIZES:
        sizes.append(sizes[-1] // 2)
    if planned.plan.device.startswith("cuda"):
        return sizes[::-1]
    estimated = per_rank // planned.plan.micro_batches
    return [size for size in sizes[::-1] if size <= estimated] or [estimated]


def _seconds(smaller: Trial, size: int) -> float:
    """How long a trial would take at the pace of a smaller one; 0 where that is not known."""
    return (ROUNDS + 1) * size / smaller.images_per_second if smaller.images_per_second else 0.0


def _worker_counts(planned: int) -> list[int]:
    """None, then doubling up to twice what the plan took without measuring."""
    counts = [0, 1]
    while counts[-1] * 2 <= 2 * max(planned, 1):
        counts.append(counts[-1] * 2)
    return counts


def _best(trials: list[Trial], cost: Callable[[Trial], int]) -> Trial:
    """The cheapest of those that are about as fast as the fastest."""
    top = max(trial.images_per_second or 0.0 for trial in trials)
    return min((trial for trial in trials if (trial.images_per_second or 0.0) >= AS_GOOD * top), key=cost)


class StepBench:
    """The model of a plan, its loader, and a clock."""

    def __init__(self, planned: PlannedRun) -> None:
        self._planned = planned
        self._device = torch.device(planned.plan.device)
        self._dtype = autocast_dtype(planned.plan.precision)
        self.method = DinoV2(method_settings(planned.config)).to(self._device).train()
        if planned.config.devices.compile_blocks:
            compile_blocks(self.method)

    def trial(self, size: int, workers: int | None) -> Trial:
        """Speed on batches of `size` that are there already (workers None) or come from the loader."""
        settings = replace(loader_settings(self._planned), batch_size=size, workers=workers or 0, world_size=1, rank=0)
        rounds = ROUNDS if workers is None else ROUNDS + settings.batches_ahead * settings.workers
        try:
            batches = self._stream(settings, again=workers is None)
            self._passes(next(batches))
            began = time.perf_counter()
            for _ in range(rounds):
                self._passes(next(batches))
            seconds = time.perf_counter() - began
        except torch.OutOfMemoryError:
            return Trial(size, settings.workers, None)
        return Trial(size, settings.workers, round(rounds * size / seconds, 2))

    def _stream(self, settings: LoaderSettings, again: bool) -> Iterator[CropBatch]:
        loader = build_loader(self._planned.source, settings)
        first = next(iter(loader)).to(self._device) if again else None
        for batch in loader if first is None else repeat(first):
            yield batch.to(self._device)

    def _passes(self, batch: CropBatch) -> None:
        """Forward and backward of one batch; the weights stay as they are."""
        self.method.zero_grad(set_to_none=True)
        knobs = StepKnobs(lr=0.0, weight_decay=0.0, teacher_momentum=1.0, teacher_temp=0.04, last_layer_lr=0.0)
        with torch.autocast(self._device.type, dtype=self._dtype, enabled=self._dtype is not None):
            total = self.method.losses(batch, knobs).total
        total.backward()  # type: ignore[no-untyped-call]
        self.wait()

    def wait(self) -> None:
        """Until the device has done all that was asked of it."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
