"""Distillation from a teacher without heads: the student's class and patch tokens, projected, match the teacher's.

Teacher and student see the same global crops, each at the size that gives the common patch grid. A local crop's class
token matches the mean of the teacher's class tokens of both global crops. The moving average is the result.
Dimensions: B images, L local crops, N patches, D width of the teacher; crop-major order.
Source: the feature matching of FitNets (arXiv 1412.6550), section 2, on the tokens of a Vision Transformer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from distill.losses.feature_losses import feature_loss
from distill.losses.relation_losses import relation_loss
from distill.matching_views import at_side, side_for
from distill.methods.loss_terms import labelled
from distill.methods.students_method import StudentsMethod
from distill.students.rank_groups import RankGroups
from distill.teachers.teacher import Teacher, TeacherTokens
from trainer.data.batch import CropBatch
from trainer.methods.diagnostics import rank_me
from trainer.methods.method import LossTerms, StepKnobs, scaled
from trainer.models.initialise import truncated_normal_linears
from trainer.models.vision_transformer import VisionTransformer, VitSettings


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


class FeatureDistillation(StudentsMethod):
    """The method on one rank; the teacher runs once per batch, however many students there are."""

    def __init__(self, settings: FeatureSettings, teacher: Teacher, groups: RankGroups | None = None) -> None:
        self.settings = settings
        super().__init__(settings.backbones, teacher, groups)
        self._cls_loss, self._patch_loss = feature_loss(settings.cls_loss), feature_loss(settings.patch_loss)
        self._relations = {name: (relation_loss(name), weight) for name, weight in settings.relations.items()}

    def micro_losses(self, batches: Sequence[CropBatch], knobs: StepKnobs) -> Iterator[LossTerms]:
        """Losses per micro-batch and student; only one student's graph lives at a time."""
        for batch in batches:
            said = self.teacher.look(batch, self.reference_patch)
            if self.groups is not None:
                batch, cls, patches = self.groups.exchanged(batch, said.cls, said.patches)
                said = TeacherTokens(cls, patches)
            for name in self.several.held:
                yield self.shared_out(scaled(self._student_losses(name, batch, said, knobs), 1 / len(batches)))

    def parameter_groups(self) -> list[dict[str, Any]]:
        """AdamW groups of the students held here and their projections."""
        s = self.settings
        return self.several.parameter_groups(self.student, s.layerwise_decay, s.patch_embed_multiplier)

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
        sized = [at_side(crops, side_for(crops.shape[-1], self.reference_patch, patch_size)) for crops in groups]
        backbone = self.several.backbone(self.student, name)
        return list(backbone.forward_packed(sized, [None] * len(sized)))
