"""Loss terms of several students as one record."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from distill.students.several import Several
from trainer.methods.method import LossTerms


def labelled(
    several: Several, name: str, total: Tensor, terms: dict[str, Tensor], diagnostics: dict[str, Tensor]
) -> LossTerms:
    """Losses of one student under names that tell the students apart; what is logged is what is back-propagated."""
    named = {several.label(name, term): value.detach() for term, value in terms.items()}
    return LossTerms(
        total=total,
        terms=named,
        logged=dict(named),
        diagnostics={several.label(name, term): value.detach() for term, value in diagnostics.items()},
    )


def joined(parts: Sequence[LossTerms]) -> LossTerms:
    """The losses of all students as one."""
    whole = LossTerms(torch.stack([part.total for part in parts]).sum(), {}, {}, {})
    for part in parts:
        whole.terms.update(part.terms)
        whole.logged.update(part.logged)
        whole.diagnostics.update(part.diagnostics)
    return whole
