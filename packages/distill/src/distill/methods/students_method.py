"""What all ways to distil have in common: the students that this rank holds, their averages, their groups of ranks."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Mapping
from typing import Self

from torch import Tensor, nn

from distill.methods.loss_terms import joined
from distill.students.rank_groups import RankGroups
from distill.students.several import Several
from distill.teachers.teacher import Teacher
from trainer.data.batch import CropBatch
from trainer.methods.method import LossTerms, Method, StepKnobs
from trainer.models.vision_transformer import VitSettings
from trainer.optim.ema import update_ema


class StudentsMethod(Method):
    """Students and a frozen teacher, which runs once per batch, however many students there are.

    `backbones` by student's name; the first one's patch size sets the patch grid of the crops. Without `groups` every
    rank holds and trains all students, with them each its group's student alone. The moving averages are the result.
    """

    def __init__(self, backbones: Mapping[str, VitSettings], teacher: Teacher, groups: RankGroups | None) -> None:
        super().__init__()
        names = list(backbones)
        self.teacher, self.groups = teacher, groups
        self.several = Several(names, held=None if groups is None else [names[groups.student]])
        self.student = self.several.built(lambda name: self._build(backbones[name]))
        self.average = copy.deepcopy(self.student).requires_grad_(False).eval()
        self.reference_patch = backbones[names[0]].patch_size

    @abstractmethod
    def _build(self, vit: VitSettings) -> dict[str, nn.Module]:
        """A new student: its backbone and what it is trained with."""

    def losses(self, batch: CropBatch, knobs: StepKnobs) -> LossTerms:
        """Losses of one batch, summed over the students."""
        return joined(list(self.micro_losses([batch], knobs)))

    def after_step(self, knobs: StepKnobs) -> None:
        """Move the averages; the teacher stays."""
        update_ema(self.average, self.student, knobs.teacher_momentum)

    def result(self) -> nn.ModuleDict:
        """The moving averages of the students held here; the first one's under plain names."""
        return self.average

    def train(self, mode: bool = True) -> Self:
        """Set the students' mode; the averages never train."""
        super().train(mode)
        self.average.eval()
        return self

    def average_gradients(self) -> None:
        """Make the gradients of the ranks that hold the same students their mean."""
        if self.groups is None:
            super().average_gradients()
        else:
            self.groups.average_gradients(self.student)

    def shared_norms(self, norms: dict[str, Tensor]) -> dict[str, Tensor]:
        """Gradient norms of all students' parts, on every rank."""
        return norms if self.groups is None else self.groups.shared_norms(norms, self.several)

    def publishes_beside_first(self) -> bool:
        """True on the first rank of each group, since it alone holds its student."""
        return self.groups is not None and self.groups.leads

    def shared_out(self, losses: LossTerms) -> LossTerms:
        """Losses of a student as this rank's share of the mean over all ranks."""
        return losses if self.groups is None else self.groups.shared_out(losses, self.several)
