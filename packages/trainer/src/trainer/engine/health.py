"""Warnings about runs that collapse or do not move: what was seen, and what to change.

Looked at: image loss over ln K (1: the student guesses; untrained value), entropy of the teacher's targets over ln K
(1: the targets say nothing; 0: one prototype for everything), RankMe of the features (1: they lie on a line through 0),
their mean cosine (1: all images look alike; many small differences can hide this from RankMe), the student's distance
to its moving average (0: nothing moves), and k-NN accuracy against its value before the first step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Symptom:
    """A diagnostic that should not stay where `is_bad` says; `advice` follows the value in the warning.

    `from_start`: the advice where the diagnostic has been bad since the first step, so that nothing has collapsed.
    """

    diagnostic: str
    is_bad: Callable[[float], bool]
    phrase: str
    advice: str
    from_start: str | None = None


COLLAPSED = (
    "they did not at first, so the model has collapsed: lower optim.lr, raise losses.koleo_weight, or use "
    "losses.centering=sinkhorn_knopp"
)
STILL_ALIKE = (
    "they did at the first step too, so little has been learned: raise optim.lr, train longer, or in a short run set "
    "model.layer_scale=1.0, which lets the blocks count from the start"
)
SYMPTOMS = (
    Symptom(
        "rank_me",
        lambda value: value < 2.0,
        "features of a batch have an effective rank of {value:.2f}: all images look alike to the model",
        COLLAPSED,
        STILL_ALIKE,
    ),
    Symptom(
        "feature_cosine",
        lambda value: value > 0.99,
        "class tokens of different images have a mean cosine of {value:.4f}: all images look alike to the model",
        COLLAPSED,
        STILL_ALIKE,
    ),
    Symptom(
        "student_lead",
        lambda value: value < 1e-5,
        "the student's weights differ from their moving average by {value:.1e} of their length, so they do not move",
        "raise optim.lr (the plan shows peak_lr, after it was scaled to the batch), or see that "
        "optim.layerwise_decay and optim.clip_norm leave something of it",
    ),
    Symptom(
        "dino_target_entropy",
        lambda value: value > 0.98,
        "the teacher's targets are nearly uniform (entropy {value:.3f} of ln K), with nothing to learn from them",
        "lower schedules.teacher_temp and schedules.final_teacher_temp, or use fewer heads.dino.prototypes",
    ),
    Symptom(
        "dino_target_entropy",
        lambda value: value < 0.001,
        "the teacher is certain of every image (target entropy {value:.4f} of ln K), a sign of collapse",
        "raise schedules.teacher_temp, lower optim.lr, or use losses.centering=sinkhorn_knopp",
    ),
    Symptom(
        "dino_loss_over_ln_k",
        lambda value: value > 0.99,
        "the image loss stays at {value:.3f} of ln K, no better than guessing",
        "raise optim.lr, use fewer heads.dino.prototypes, or train longer",
    ),
)


class HealthWatch:
    """Warns once when a symptom lasts for `patience` looks after a tenth of the run, and never in the first steps.

    `goes_on`: the model has learned before; a probe that stays where it was is no symptom then.
    """

    def __init__(self, total_steps: int, patience: int = 3, *, goes_on: bool = False) -> None:
        self._first_step = max(total_steps / 10, 100)
        self._half = max(total_steps / 2, 100)
        self._patience = patience
        self._lasted = [0] * len(SYMPTOMS)
        self._was_well = [goes_on] * len(SYMPTOMS)
        self._start: dict[str, float] = {}
        self._warned_of_probe = goes_on

    def seen(self, step: int, diagnostics: Mapping[str, float]) -> list[str]:
        """Look at the diagnostics of a step; one sentence for each symptom that has just lasted long enough."""
        warnings = []
        for index, symptom in enumerate(SYMPTOMS):
            value = diagnostics.get(symptom.diagnostic)
            if value is None or not math.isfinite(value):
                continue
            bad = symptom.is_bad(value)
            self._was_well[index] |= not bad
            if step < self._first_step:
                continue
            self._lasted[index] = self._lasted[index] + 1 if bad else 0
            if self._lasted[index] == self._patience:
                collapsed = self._was_well[index] or symptom.from_start is None
                advice = symptom.advice if collapsed else symptom.from_start
                warnings.append(f"step {step}: {symptom.phrase.format(value=value)}: {advice}")
        return warnings

    def remember(self, record: Mapping[str, Any]) -> None:
        """Take in what was recorded before the run was resumed."""
        for index, symptom in enumerate(SYMPTOMS):
            value = record.get(f"diagnostics/{symptom.diagnostic}")
            self._was_well[index] |= value is not None and not symptom.is_bad(value)

    def probed(self, record: Mapping[str, Any]) -> list[str]:
        """Look at a probe; a sentence when k-NN accuracy is not above its start in the second half of the run."""
        accuracy = record.get("probe/knn_accuracy")
        if accuracy is None:
            return []
        start = self._start.setdefault("knn_accuracy", accuracy)
        if self._warned_of_probe or record["step"] < self._half or accuracy > start:
            return []
        self._warned_of_probe = True
        return [
            f"step {record['step']}: k-NN accuracy is {accuracy:.3f} and was {start:.3f} before training, so the model "
            "has not learned what the probe asks: train longer, change optim.lr by a factor of 3, use smaller "
            "heads.dino.prototypes, or check that data and probe show the same kind of images"
        ]
