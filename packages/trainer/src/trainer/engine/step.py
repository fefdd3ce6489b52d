"""One optimiser step: losses, gradients, finite checks, clipping, AdamW, moving average."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from trainer.data.batch import CropBatch
from trainer.losses.across_ranks import sum_over_ranks, world_size
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


def training_step(
    method: Method,
    optimizer: torch.optim.Optimizer,
    batches: Sequence[CropBatch],
    knobs: StepKnobs,
    clip_norm: float | None = 3.0,
    autocast_dtype: torch.dtype | None = None,
) -> StepReport:
    """Take one optimiser step on one or more micro-batches.

    `clip_norm` limits the gradient norm of each entry of `method.student` (None = no limit).
    """
    device = batches[0].global_crops.device.type
    optimizer.zero_grad(set_to_none=True)
    done = []
    with torch.autocast(device, dtype=autocast_dtype, enabled=autocast_dtype is not None):
        for losses in method.micro_losses(batches, knobs):
            with torch.autocast(device, enabled=False):
                losses.total.backward()  # type: ignore[no-untyped-call]
            losses.total = losses.total.detach()
            done.append(losses)
    return finish_step(method, optimizer, done, knobs, clip_norm)


def finish_step(
    method: Method,
    optimizer: torch.optim.Optimizer,
    losses: Sequence[LossTerms],
    knobs: StepKnobs,
    clip_norm: float | None = 3.0,
) -> StepReport:
    """Clip and apply gradients that are there already, then move the averages.

    Loss terms and gradient norms are looked at before anything is changed: when one is not finite, the step is skipped
    with the weights, the optimiser's moments, the moving average and the centers as they were.
    """
    method.average_gradients()
    report = _report(losses, method.shared_norms(gradient_norms(method.student)))
    if report.skipped:
        optimizer.zero_grad(set_to_none=True)
        return report
    if clip_norm is not None:
        clip_gradients(method.student, report.clip_norms, clip_norm)
    apply_knobs(optimizer, knobs)
    optimizer.step()
    method.after_step(knobs)
    return report


def _report(losses: Sequence[LossTerms], norms: dict[str, Tensor]) -> StepReport:
    """Fetch all numbers from the device at once and look for one that is not finite.

    All but the diagnostics are means over ranks, so that every rank comes to the same decision.
    """
    agreed = (
        {"total": torch.stack([part.total for part in losses]).sum()},
        _sums([part.terms for part in losses]),
        _sums([part.logged for part in losses]),
        norms,
    )
    own = _sums([part.diagnostics for part in losses])
    numbers = iter(_fetch(agreed, own))
    total, terms, logged, clip_norms, diagnostics = ({name: next(numbers) for name in t} for t in (*agreed, own))
    reason = _first_not_finite("loss term", terms) or _first_not_finite("loss", total)
    reason = reason or _first_not_finite("gradient of", clip_norms)
    return StepReport(total["total"], terms, logged, diagnostics, clip_norms, bool(reason), reason)


def _sums(tables: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Sums over micro-batches, by name; a name may be missing from some."""
    names = dict.fromkeys(name for table in tables for name in table)
    return {name: torch.stack([table[name] for table in tables if name in table]).sum() for name in names}


def _fetch(agreed: Sequence[dict[str, Tensor]], own: dict[str, Tensor]) -> list[float]:
    """Scalars from the device, in one transfer; those of `agreed` as means over ranks. At least float32."""
    wide = reduce(torch.promote_types, (value.dtype for table in agreed for value in table.values()), torch.float32)
    values = [value.detach().to(wide).reshape(()) for table in agreed for value in table.values()]
    means = sum_over_ranks(torch.stack(values)) / world_size()
    rest = [value.detach().to(wide).reshape(1) for value in own.values()]
    numbers: list[float] = torch.cat([means, *rest]).tolist()
    return numbers


def _first_not_finite(kind: str, numbers: dict[str, float]) -> str:
    return next((f"{kind} {name} is {value}" for name, value in numbers.items() if not math.isfinite(value)), "")
