"""Schedules: one value per optimiser step for learning rate, weight decay, teacher momentum and temperature.

Source: the released DINOv2 training code (end points) and arXiv 2304.07193, Table 16 (values).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from contracts.errors import ConfigError
from trainer.optim.knobs import StepKnobs


@dataclass(frozen=True)
class Ramp:
    """A quantity that is `frozen_steps` long 0, rises linearly from `start` to `peak`, then follows a cosine to `end`.

    The warm-up includes both ends (its first step has `start`, its last `peak`) and the cosine begins at `peak` again;
    inside the run it comes close to `end` without reaching it; steps past the run have `end`.
    """

    peak: float
    end: float
    start: float = 0.0
    warmup_steps: int = 0
    frozen_steps: int = 0

    def values(self, steps: int) -> NDArray[np.float64]:
        """One value per step. Shapes: [steps].

        Errors: ConfigError when warm-up and frozen steps do not fit.
        """
        cosine_steps = steps - self.warmup_steps - self.frozen_steps
        if cosine_steps < 0:
            raise ConfigError(
                f"A schedule of {steps} steps cannot hold {self.frozen_steps} frozen and {self.warmup_steps} warm-up "
                "steps; train longer or shorten the warm-up."
            )
        phase = np.pi * np.arange(cosine_steps) / max(cosine_steps, 1)
        cosine = self.end + 0.5 * (self.peak - self.end) * (1 + np.cos(phase))
        warmup = np.linspace(self.start, self.peak, self.warmup_steps)
        return np.concatenate([np.zeros(self.frozen_steps), warmup, cosine])


@dataclass(frozen=True)
class ScheduleSettings:
    """What a run's schedules are made of; all lengths in optimiser steps, `lr` already scaled to the batch size."""

    steps: int
    lr: float
    min_lr: float = 1e-6
    warmup_steps: int = 0
    weight_decay: float = 0.04
    weight_decay_end: float = 0.4
    teacher_momentum: float = 0.992
    teacher_momentum_end: float = 1.0
    teacher_temp_start: float = 0.04
    teacher_temp: float = 0.07
    teacher_temp_warmup_steps: int = 0
    freeze_last_layer_steps: int = 0


@dataclass(frozen=True)
class Schedules:
    """Arrays with one value per step; Schedules.at(step) gives the knobs of a step."""

    lr: NDArray[np.float64]
    weight_decay: NDArray[np.float64]
    teacher_momentum: NDArray[np.float64]
    teacher_temp: NDArray[np.float64]
    last_layer_lr: NDArray[np.float64]
    ends: StepKnobs

    @property
    def steps(self) -> int:
        """Length of the run."""
        return len(self.lr)

    def at(self, step: int, diagnose: bool = False) -> StepKnobs:
        """Knobs of a step (0 = first); past the end of a schedule its final value holds."""
        if step >= self.steps:
            return replace(self.ends, step=step, diagnose=diagnose)
        in_temp_warmup = step < len(self.teacher_temp)
        return StepKnobs(
            lr=float(self.lr[step]),
            weight_decay=float(self.weight_decay[step]),
            teacher_momentum=float(self.teacher_momentum[step]),
            teacher_temp=float(self.teacher_temp[step]) if in_temp_warmup else self.ends.teacher_temp,
            last_layer_lr=float(self.last_layer_lr[step]),
            step=step,
            diagnose=diagnose,
        )


def build_schedules(settings: ScheduleSettings) -> Schedules:
    """The official five schedules.

    Errors: ConfigError when the warm-up is longer than the run.
    """
    s = settings
    lr = Ramp(s.lr, s.min_lr, warmup_steps=s.warmup_steps).values(s.steps)
    last_layer_lr = lr.copy()
    last_layer_lr[: s.freeze_last_layer_steps] = 0.0
    return Schedules(
        lr=lr,
        weight_decay=Ramp(s.weight_decay, s.weight_decay_end).values(s.steps),
        teacher_momentum=Ramp(s.teacher_momentum, s.teacher_momentum_end).values(s.steps),
        teacher_temp=np.linspace(s.teacher_temp_start, s.teacher_temp, s.teacher_temp_warmup_steps),
        last_layer_lr=last_layer_lr,
        ends=StepKnobs(s.min_lr, s.weight_decay_end, s.teacher_momentum_end, s.teacher_temp, s.min_lr),
    )


def compressed(settings: ScheduleSettings, steps: int) -> ScheduleSettings:
    """The same schedules run through in `steps` steps: every length shrinks in proportion, every value stays.

    Used by the short high-resolution phase at the end of training. Source: DINOv2 (arXiv 2304.07193), appendix B.2.
    """
    share = steps / settings.steps
    return replace(
        settings,
        steps=steps,
        warmup_steps=round(settings.warmup_steps * share),
        teacher_temp_warmup_steps=round(settings.teacher_temp_warmup_steps * share),
        freeze_last_layer_steps=round(settings.freeze_last_layer_steps * share),
    )
