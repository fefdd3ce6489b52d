"""Loss terms of several students as one record."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from distill.students.several import Several
from trainer.methods.method import LossTerms


def labelled(several: Several, name: str, terms: dict[str, Tensor], diagnostics: dict[str, Tensor]) -> LossTerms:
    """Loss terms of one student under names that tell the students apart."""
    named = {several.label(name, term): value for term, value in terms.items()}
    return LossTerms(
        total=torch.stack([*named.values()]).sum(),
        terms={term: value.detach() for term, value in named.items()},
        logged={term: value.detach() for term, value in named.items()},
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
