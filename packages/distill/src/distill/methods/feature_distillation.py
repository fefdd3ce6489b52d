"""Distillation from a teacher without heads: the student's class and patch tokens, projected, match the teacher's.

Teacher and student see the same global crops, each at the size that gives the common patch grid. A local crop's class
token matches the mean of the teacher's class tokens of both global crops. The moving average is the result.
Dimensions: B images, L local crops, N patches, D width of the teacher; crop-major order.
Source: the feature matching of FitNets (arXiv 1412.6550), section 2, on the tokens of a Vision Transformer.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor, nn

from distill.losses.feature_losses import feature_loss
from distill.losses.relation_losses import relation_loss
from distill.matching_views import at_side, side_for
from distill.methods.loss_terms import joined, labelled
from distill.students.rank_groups import RankGroups
from distill.students.several import Several
from distill.teachers.teacher import Teacher, TeacherTokens
from trainer.data.batch import CropBatch
from trainer.methods.diagnostics import rank_me
from trainer.methods.method import LossTerms, Method, StepKnobs, scaled
from trainer.models.initialise import truncated_normal_linears
from trainer.models.vision_transformer import VisionTransformer, VitSettings
from trainer.optim.ema import update_ema


@dataclass(frozen=True)
class FeatureSettings:
    """Students by name (the first one's patch size sets the grid), names of losses, and their weights.

    `relations` are weights by names of losses/relation_losses.py. A loss of weight 0 is not computed.
    """

    backbones: dict[str, VitSettings]
    cls_loss: str = "cosine"
    patch_loss: str = "cosine"
    cls_weight: float = 1.0
    patch_weight: float = 1.0
    relations: dict[str, float] = field(default_factory=dict)
    layerwise_decay: float = 1.0
    patch_embed_multiplier: float = 1.0


class FeatureDistillation(Method):
    """The method on one rank; the teacher runs once per batch, however many students there are."""

    def __init__(self, settings: FeatureSettings, teacher: Teacher, groups: RankGroups | None = None) -> None:
        super().__init__()
        self.settings, self.teacher, self.groups = settings, teacher, groups
        self.several = Several(list(settings.backbones))
        self.student = self.several.flat({name: self._build(vit) for name, vit in settings.backbones.items()})
        self.average = copy.deepcopy(self.student).requires_grad_(False).eval()
        self._cls_loss, self._patch_loss = feature_loss(settings.cls_loss), feature_loss(settings.patch_loss)
        self._relations = {name: (relation_loss(name), weight) for name, weight in settings.relations.items()}

    def losses(self, batch: CropBatch, knobs: StepKnobs) -> LossTerms:
        """Losses of one batch, summed over the students."""
        return joined(list(self.micro_losses([batch], knobs)))

    def micro_losses(self, batches: Sequence[CropBatch], knobs: StepKnobs) -> Iterator[LossTerms]:
        """Losses per micro-batch and student; only one student's graph lives at a time."""
        for batch in batches:
            said, names = self.teacher.look(batch, self._reference_patch), self.several.names
            if self.groups is not None:
                batch, cls, patches = self.groups.exchanged(batch, said.cls, said.patches)
                said, names = TeacherTokens(cls, patches), (self.groups.mine(self.several),)
            for name in names:
                losses = scaled(self._student_losses(name, batch, said, knobs), 1 / len(batches))
                yield losses if self.groups is None else self.groups.shared_out(losses, self.several)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """AdamW groups of all students and their projections."""
        s = self.settings
        return self.several.parameter_groups(self.student, s.layerwise_decay, s.patch_embed_multiplier)

    def after_step(self, knobs: StepKnobs) -> None:
        """Move the averages; the teacher stays."""
        update_ema(self.average, self.student, knobs.teacher_momentum)

    def result(self) -> nn.ModuleDict:
        """The moving averages of all students; the first one's under plain names."""
        return self.average

    def train(self, mode: bool = True) -> Self:
        """Set the students' mode; the averages never train."""
        super().train(mode)
        self.average.eval()
        return self

    @property
    def _reference_patch(self) -> int:
        return self.settings.backbones[self.several.names[0]].patch_size

    def _build(self, vit: VitSettings) -> dict[str, nn.Module]:
        parts: dict[str, nn.Module] = {"backbone": VisionTransformer(vit)}
        for token in ("cls", "patch"):
            projection = nn.Linear(vit.embed_dim, self.teacher.embed_dim)
            truncated_normal_linears(projection)
            parts[f"{token}_projection"] = projection
        return parts

    def _student_losses(self, name: str, batch: CropBatch, said: TeacherTokens, knobs: StepKnobs) -> LossTerms:
        s = self.settings
        global_, *local = self._forward(name, batch)
        project_cls = self.student[self.several.key(name, "cls_projection")]
        terms: dict[str, Tensor] = {}
        if s.cls_weight:
            terms["cls"] = s.cls_weight * self._cls_loss(project_cls(global_.cls), said.cls)
        if s.patch_weight:
            project_patch = self.student[self.several.key(name, "patch_projection")]
            terms["patch"] = s.patch_weight * self._patch_loss(project_patch(global_.patches), said.patches)
        if local and s.cls_weight:
            wanted = said.cls.view(2, -1, said.cls.shape[-1]).mean(0)
            every = wanted.repeat(len(local[0].cls) // len(wanted), 1)
            terms["local_cls"] = s.cls_weight * self._cls_loss(project_cls(local[0].cls), every)
        mine = TeacherTokens(global_.cls, global_.patches)
        for relation, (loss, weight) in self._relations.items():
            terms[relation] = weight * loss(mine, said)
        diagnostics: dict[str, Tensor] = {"rank_me": rank_me(global_.cls)} if knobs.diagnose else {}
        return labelled(self.several, name, torch.stack([*terms.values()]).sum(), terms, diagnostics)

    def _forward(self, name: str, batch: CropBatch) -> list[Any]:
        patch_size = self.settings.backbones[name].patch_size
        groups = [batch.global_crops] + ([batch.local_crops] if len(batch.local_crops) else [])
        sized = [at_side(crops, side_for(crops.shape[-1], self._reference_patch, patch_size)) for crops in groups]
        backbone = self.several.backbone(self.student, name)
        return list(backbone.forward_packed(sized, [None] * len(sized)))
