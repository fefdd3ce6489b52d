"""How long a run will take: from a short measurement on request, and no less than its operations take at the peak."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from contracts.errors import ConfigError
from trainer.optim.adamw import apply_knobs, build_adamw
from trainer.optim.knobs import StepKnobs
from trainer.pretrain import PlannedRun
from trainer.tune import ROUNDS, StepBench

SECONDS_OF_A_TRIAL = 20.0


@dataclass(frozen=True)
class TimeEstimate:
    """A run's time from a few passes, with its loader, and a few updates of the weights.

    Measured in one process on `images_at_once` images: what ranks tell each other is not in it, nor are probes,
    pictures, checkpoints and compilation.
    """

    images_at_once: int
    images_per_second: float
    update_seconds: float
    step_seconds: float
    hours: float

    def values(self) -> dict[str, Any]:
        """As plain values, for the plan."""
        return asdict(self)


def measured_run(planned: PlannedRun, say: Callable[[str], None] = lambda _: None) -> PlannedRun:
    """The same run with its time measured, its phase on larger crops too. Errors: ConfigError (memory too small)."""
    found = measure_time(planned)
    say(f"{found.step_seconds:.3g} s a step, {found.hours:.2g} h in all, from {found.images_at_once} images at once")
    then = None if planned.then is None else measured_run(planned.then, say)
    return replace(planned, measured=found.values(), then=then)


def measure_time(planned: PlannedRun) -> TimeEstimate:
    """Errors: ConfigError when not even the first images fit the memory."""
    plan = planned.plan
    bench = StepBench(planned)
    size = _affordable(bench, plan.images_per_rank // plan.micro_batches, plan.device)
    trial = bench.trial(size, plan.workers)
    if trial.images_per_second is None:
        raise ConfigError(f"{size} images at once do not fit the memory of {plan.device}: see trainer plan --tune")
    update = _update_seconds(bench)
    step = plan.images_per_rank / trial.images_per_second + update
    return TimeEstimate(
        images_at_once=size,
        images_per_second=round(plan.images_per_step / step, 2),
        update_seconds=round(update, 4),
        step_seconds=round(step, 4),
        hours=round(step * plan.steps / 3600, 3),
    )


def _affordable(bench: StepBench, micro: int, device: str) -> int:
    """Images of a trial: as in the run; on a CPU fewer, where a trial would take long."""
    size = min(2, micro)
    while device == "cpu" and size < micro:
        rate = bench.trial(size, None).images_per_second
        larger = min(2 * size, micro)
        if rate is None or (ROUNDS + 1) * larger / rate > SECONDS_OF_A_TRIAL:
            return size
        size = larger
    return micro


def _update_seconds(bench: StepBench) -> float:
    """The optimiser's step and the moving average's, which a step takes once however many images it has."""
    optimizer = build_adamw(bench.method.parameter_groups())
    knobs = StepKnobs(lr=0.0, weight_decay=0.0, teacher_momentum=1.0, teacher_temp=0.04, last_layer_lr=0.0)
    seconds = []
    for _ in range(ROUNDS):
        bench.wait()
        began = time.perf_counter()
        apply_knobs(optimizer, knobs)
        optimizer.step()
        bench.method.after_step(knobs)
        bench.wait()
        seconds.append(time.perf_counter() - began)
    return min(seconds)
