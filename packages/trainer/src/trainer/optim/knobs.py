"""The values of the schedules at one optimiser step."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StepKnobs:
    """What the schedules say about one optimiser step.

    Units: `lr` and `last_layer_lr` are multiplied by each group's lr_multiplier, `weight_decay` by its wd_multiplier;
    `teacher_temp` divides the teacher's logits; `diagnose` asks for LossTerms.diagnostics at this step.
    """

    lr: float
    weight_decay: float
    teacher_momentum: float
    teacher_temp: float
    last_layer_lr: float
    step: int = 0
    diagnose: bool = False
