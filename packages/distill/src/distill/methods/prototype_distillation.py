"""Exact distillation: a frozen teacher with its heads replaces the moving average of DINOv2.

The student sees all crops unmasked and without stochastic depth, has heads of its own with the teacher's number of
prototypes, and learns the teacher's assignments: of class tokens across views (DINO), of patches in place (iBOT), with
its class tokens spread (KoLeo). Its moving average is the result and never enters a loss.
Dimensions: B images, L local crops, N patches of a global crop, M chosen patches; crop-major order.
Source: DINOv2 (arXiv 2304.07193), section 5 and Table 16; the maintainers' remarks that the average is the final model
and that iBOT takes all patch tokens; DINOv3 (arXiv 2508.10104) for the subset of masked positions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from distill.matching_views import at_side, side_for
from distill.methods.loss_terms import labelled
from distill.methods.students_method import StudentsMethod
from distill.students.rank_groups import RankGroups
from distill.teachers.teacher import Teacher
from trainer.data.batch import CropBatch
from trainer.losses.dino_loss import DinoBatch
from trainer.losses.ibot_loss import PatchChoice, all_patches, masked_patches
from trainer.losses.koleo import koleo_loss
from trainer.losses.teacher_targets import shifted_rows
from trainer.methods.diagnostics import agreement, rank_me, target_statistics
from trainer.methods.method import LossTerms, StepKnobs
from trainer.methods.prototype_losses import PrototypeWeights, StepTargets, StudentView, prototype_losses
from trainer.methods.target_makers import build_target_maker
from trainer.models.heads import HeadSettings, PrototypeHead
from trainer.models.vision_transformer import VisionTransformer, VitSettings


@dataclass(frozen=True)
class PrototypeSettings:
    """Students, heads and weights of exact distillation.

    `backbones` by student's name, the first one's patch size sets the patch grid of the crops; `ibot_head` None shares
    the DINO head; `ibot_tokens` is "all" (every patch of both global crops) or "subset" (the batch's masked positions,
    of an unmasked student).
    """

    backbones: dict[str, VitSettings]
    dino_head: HeadSettings
    ibot_head: HeadSettings | None
    ibot_tokens: str = "all"
    centering: str = "sinkhorn_knopp"
    student_temp: float = 0.1
    dino_weight: float = 1.0
    ibot_weight: float = 1.0
    koleo_weight: float = 0.1
    koleo_min_distance: float = 1e-4
    layerwise_decay: float = 1.0
    patch_embed_multiplier: float = 0.2


@dataclass(frozen=True)
class Seen:
    """A micro-batch as the students will get it, with the teacher's bottleneck features of it.

    Shapes: cls [2 * B, H], patches [M, H] of the chosen ones.
    """

    batch: CropBatch
    choice: PatchChoice
    cls: Tensor
    patches: Tensor


class PrototypeDistillation(StudentsMethod):
    """The method on one rank. The teacher runs once per batch, however many students there are."""

    def __init__(self, settings: PrototypeSettings, teacher: Teacher, groups: RankGroups | None = None) -> None:
        self.settings = settings
        super().__init__(settings.backbones, teacher, groups)
        ibot = settings.ibot_head or settings.dino_head
        self.dino_targets = build_target_maker(settings.centering, settings.dino_head.prototypes)
        self.ibot_targets = build_target_maker(settings.centering, ibot.prototypes)

    def micro_losses(self, batches: Sequence[CropBatch], knobs: StepKnobs) -> Iterator[LossTerms]:
        """Losses per micro-batch and student; targets are balanced over all micro-batches together.

        Only one student's graph lives at a time. KoLeo sees the neighbours inside a micro-batch.
        """
        seen = [self._seen(batch) for batch in batches]
        for shown, targets in zip(seen, self._targets(seen, knobs.teacher_temp), strict=True):
            for name in self.several.held:
                view = self._student_view(name, shown.batch, shown.choice)
                yield self.shared_out(self._student_losses(name, view, targets, knobs))

    def parameter_groups(self) -> list[dict[str, Any]]:
        """AdamW groups of the students held here."""
        s = self.settings
        return self.several.parameter_groups(self.student, s.layerwise_decay, s.patch_embed_multiplier)

    def after_step(self, knobs: StepKnobs) -> None:
        """Move the averages; the teacher stays."""
        super().after_step(knobs)
        self.dino_targets.commit()
        self.ibot_targets.commit()

    def _build(self, vit: VitSettings) -> dict[str, nn.Module]:
        backbone = VisionTransformer(vit)
        parts: dict[str, nn.Module] = {"backbone": backbone}
        parts["dino_head"] = PrototypeHead(backbone.embed_dim, self.settings.dino_head)
        if self.settings.ibot_head is not None:
            parts["ibot_head"] = PrototypeHead(backbone.embed_dim, self.settings.ibot_head)
        return parts

    def _seen(self, batch: CropBatch) -> Seen:
        """Act one: the teacher looks at the global crops of a micro-batch."""
        tokens = self.teacher.look(batch, self.reference_patch)
        if self.groups is None:
            choice = self._choice(batch)
            return Seen(batch, choice, *self.teacher.bottlenecks(tokens.cls, choice.of(tokens.patches)))
        crops, patches = tokens.patches.shape[:2]
        cls, flat = self.teacher.bottlenecks(tokens.cls, tokens.patches.flatten(0, 1))
        batch, cls, every = self.groups.exchanged(batch, cls, flat.view(crops, patches, -1))
        choice = self._choice(batch)
        return Seen(batch, choice, cls, choice.of(every))

    def _targets(self, seen: Sequence[Seen], temp: float) -> list[StepTargets]:
        """Targets of all micro-batches, balanced together."""
        dino_head, ibot_head = self.teacher.dino_head, self.teacher.ibot_head
        assert dino_head is not None and ibot_head is not None, "exact distillation needs a teacher with heads"
        with torch.no_grad():
            dino = self.dino_targets.targets(torch.cat([shown.cls for shown in seen]), dino_head.prototypes(), temp)
            ibot = self.ibot_targets.targets(torch.cat([shown.patches for shown in seen]), ibot_head.prototypes(), temp)
        images = [len(shown.batch.global_crops) // 2 for shown in seen]
        found, dino_row, ibot_row = [], 0, 0
        for shown, count in zip(seen, images, strict=True):
            sizes = DinoBatch(count, sum(images), len(shown.batch.local_crops) // count)
            rows, patches = shifted_rows(dino, dino_row), shifted_rows(ibot, ibot_row)
            found.append(StepTargets(rows, patches, shown.choice.weights, sizes))
            dino_row, ibot_row = dino_row + 2 * count, ibot_row + len(shown.choice.indices)
        return found

    def _choice(self, batch: CropBatch) -> PatchChoice:
        """The patches of the patch loss; the batch's masks have the shape of its patches."""
        if self.settings.ibot_tokens == "subset":
            return masked_patches(batch.masks)
        crops, patches = batch.masks.shape
        return all_patches(crops, patches, batch.masks.device)

    def _student_losses(self, name: str, view: StudentView, targets: StepTargets, knobs: StepKnobs) -> LossTerms:
        """Act three: one student is held against the targets."""
        s, share = self.settings, targets.sizes.images / targets.sizes.step_images
        total, losses = prototype_losses(view, targets, PrototypeWeights(s.dino_weight, s.ibot_weight, s.student_temp))
        spread = torch.stack([koleo_loss(crop, s.koleo_min_distance) for crop in view.cls_tokens.chunk(2)]).sum()
        koleo = s.koleo_weight * share * spread
        terms = {
            "dino_local": s.dino_weight * losses["dino_local"],
            "dino_global": s.dino_weight * losses["dino_global"],
            "koleo": koleo.detach(),
            "ibot": s.ibot_weight * losses["ibot"],
        }
        diagnostics = _diagnostics(view, targets, losses) if knobs.diagnose else {}
        return labelled(self.several, name, total + koleo, terms, diagnostics)

    def _student_view(self, name: str, batch: CropBatch, choice: PatchChoice) -> StudentView:
        """Act two: one student looks at all crops, unmasked, in one pass."""
        patch_size = self.settings.backbones[name].patch_size
        groups = [batch.global_crops] + ([batch.local_crops] if len(batch.local_crops) else [])
        sized = [at_side(crops, side_for(crops.shape[-1], self.reference_patch, patch_size)) for crops in groups]
        tokens = self.several.backbone(self.student, name).forward_packed(sized, [None] * len(sized))
        dino_head = self._head(name, "dino_head")
        ibot_head = dino_head if self.settings.ibot_head is None else self._head(name, "ibot_head")
        dino_prototypes = dino_head.prototypes()
        cls = dino_head.bottleneck(torch.cat([group.cls for group in tokens]))
        return StudentView(
            cls_tokens=tokens[0].cls,
            global_cls=cls[: len(batch.global_crops)],
            local_cls=cls[len(batch.global_crops) :],
            patches=ibot_head.bottleneck(choice.of(tokens[0].patches)),
            dino_prototypes=dino_prototypes,
            ibot_prototypes=dino_prototypes if ibot_head is dino_head else ibot_head.prototypes(),
        )

    def _head(self, name: str, part: str) -> PrototypeHead:
        return cast(PrototypeHead, self.student[self.several.key(name, part)])


def _diagnostics(view: StudentView, targets: StepTargets, losses: dict[str, Tensor]) -> dict[str, Tensor]:
    """Signs of life of one micro-batch, as its share of the step (sums over micro-batches are means)."""
    share = targets.sizes.images / targets.sizes.step_images
    values = {
        **target_statistics("dino", targets.dino, len(view.global_cls)),
        **target_statistics("ibot", targets.ibot, len(view.patches)),
        "agreement": agreement(view.patches, view.ibot_prototypes, targets.ibot),
        "rank_me": rank_me(view.cls_tokens),
    }
    values = {name: value * share for name, value in values.items()}
    dino = losses["dino_local"] + losses["dino_global"]
    return values | {"dino_loss_over_ln_k": dino / math.log(len(view.dino_prototypes))}
