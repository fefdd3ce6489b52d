"""One optimiser step: losses, gradients, finite checks, clipping, AdamW, moving average."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from trainer.data.batch import CropBatch
from trainer.methods.method import LossTerms, Method, StepKnobs
from trainer.optim.adamw import apply_knobs
from trainer.optim.clipping import clip_gradients, gradient_norms


@dataclass(frozen=True)
class StepReport:
    """What one step did, as plain numbers: sums over micro-batches.

    `total` and `terms` as back-propagated, `logged` in the official convention, `clip_norms` before clipping.
    A skipped step changed nothing; `reason` says which quantity was not finite.
    """

    total: float
    terms: dict[str, float]
    logged: dict[str, float]
    diagnostics: dict[str, float]
    clip_norms: dict[str, float]
    skipped: bool = False
    reason: str = ""


@dataclass
class _Tally:
    """Sums of the losses of the micro-batches, kept on the device until the end."""

    total: list[Tensor] = field(default_factory=list)
    terms: dict[str, Tensor] = field(default_factory=dict)
    logged: dict[str, Tensor] = field(default_factory=dict)
    diagnostics: dict[str, Tensor] = field(default_factory=dict)

    def add(self, losses: LossTerms) -> None:
        self.total.append(losses.total.detach())
        for mine, theirs in (
            (self.terms, losses.terms),
            (self.logged, losses.logged),
            (self.diagnostics, losses.diagnostics),
        ):
            for name, value in theirs.items():
                mine[name] = mine[name] + value if name in mine else value


def training_step(
    method: Method,
    optimizer: torch.optim.Optimizer,
    batches: Sequence[CropBatch],
    knobs: StepKnobs,
    clip_norm: float | None = 3.0,
    autocast_dtype: torch.dtype | None = None,
) -> StepReport:
    """Take one optimiser step on one or more micro-batches.

    Loss terms and gradient norms are looked at before anything is changed: when one is not finite, the step is skipped
    with the weights, the optimiser's moments, the moving average and the centers as they were.
    `clip_norm` limits the gradient norm of each entry of `method.student` (None = no limit).
    """
    device = batches[0].global_crops.device.type
    optimizer.zero_grad(set_to_none=True)
    tally = _Tally()
    with torch.autocast(device, dtype=autocast_dtype, enabled=autocast_dtype is not None):
        for losses in method.micro_losses(batches, knobs):
            tally.add(losses)
            _backward(losses.total, device)
    report = _report(tally, gradient_norms(method.student))
    if report.skipped:
        optimizer.zero_grad(set_to_none=True)
        return report
    if clip_norm is not None:
        clip_gradients(method.student, {n: torch.tensor(v) for n, v in report.clip_norms.items()}, clip_norm)
    apply_knobs(optimizer, knobs)
    optimizer.step()
    method.after_step(knobs)
    return report


def _backward(total: Tensor, device: str) -> None:
    """Back-propagate outside autocast, as PyTorch asks."""
    with torch.autocast(device, enabled=False):
        total.backward()  # type: ignore[no-untyped-call]


def _report(tally: _Tally, norms: dict[str, Tensor]) -> StepReport:
    """Fetch all numbers from the device at once and look for one that is not finite."""
    tables = ({"total": torch.stack(tally.total).sum()}, tally.terms, tally.logged, tally.diagnostics, norms)
    numbers = iter(_fetch(value for table in tables for value in table.values()))
    total, terms, logged, diagnostics, clip_norms = ({name: next(numbers) for name in table} for table in tables)
    reason = _first_not_finite("loss term", terms) or _first_not_finite("loss", total)
    reason = reason or _first_not_finite("gradient of", clip_norms)
    return StepReport(total["total"], terms, logged, diagnostics, clip_norms, bool(reason), reason)


def _fetch(values: Iterable[Tensor]) -> list[float]:
    """Scalars from the device, in one transfer."""
    numbers: list[float] = torch.stack([value.detach().float().reshape(()) for value in values]).tolist()
    return numbers


def _first_not_finite(kind: str, numbers: dict[str, float]) -> str:
    return next((f"{kind} {name} is {value}" for name, value in numbers.items() if not math.isfinite(value)), "")
