"""New prototype heads on a frozen teacher that comes without: the stage before exact distillation.

Only heads are trained. Class tokens: both global crops of an image must get the same prototypes (DINO). Patch tokens:
a patch must get the same prototypes in the crop and in its mirror image. Targets come from the heads' moving average,
balanced over the batch, so that the prototypes divide the teacher's features among them.
Dimensions: B images, N = h * h patches of a global crop; crop-major order.
Source: the DINO and iBOT losses of DINOv2 (arXiv 2304.07193), section 4, with a frozen backbone; balanced clustering of
fixed features: SwAV (arXiv 2006.09882), section 3.1.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from distill.methods.loss_terms import joined
from distill.teachers.teacher import Teacher, TeacherTokens
from trainer.data.batch import CropBatch
from trainer.losses.dino_loss import DinoBatch
from trainer.losses.ibot_loss import all_patches
from trainer.losses.teacher_targets import shifted_rows
from trainer.methods.diagnostics import target_statistics
from trainer.methods.method import LossTerms, Method, StepKnobs
from trainer.methods.prototype_losses import PrototypeWeights, StepTargets, StudentView, prototype_losses
from trainer.methods.target_makers import build_target_maker
from trainer.models.heads import HeadSettings, PrototypeHead
from trainer.optim.ema import update_ema
from trainer.optim.param_groups import fused_groups, head_rates


@dataclass(frozen=True)
class HeadLearningSettings:
    """Shapes of the new heads (`ibot_head` None shares one), and the patch size that crops are measured for."""

    dino_head: HeadSettings
    ibot_head: HeadSettings | None
    reference_patch: int
    centering: str = "sinkhorn_knopp"
    student_temp: float = 0.1


class HeadLearning(Method):
    """The method on one rank; its result is the heads' moving average."""

    def __init__(self, settings: HeadLearningSettings, teacher: Teacher) -> None:
        super().__init__()
        self.settings, self.teacher = settings, teacher
        self.student = nn.ModuleDict({"dino_head": PrototypeHead(teacher.embed_dim, settings.dino_head)})
        if settings.ibot_head is not None:
            self.student["ibot_head"] = PrototypeHead(teacher.embed_dim, settings.ibot_head)
        self.average = copy.deepcopy(self.student).requires_grad_(False).eval()
        ibot = settings.ibot_head or settings.dino_head
        self.dino_targets = build_target_maker(settings.centering, settings.dino_head.prototypes)
        self.ibot_targets = build_target_maker(settings.centering, ibot.prototypes)

    def losses(self, batch: CropBatch, knobs: StepKnobs) -> LossTerms:
        """Losses of one batch."""
        return joined(list(self.micro_losses([batch], knobs)))

    def micro_losses(self, batches: Sequence[CropBatch], knobs: StepKnobs) -> Iterator[LossTerms]:
        """Losses of micro-batches whose targets are balanced over all of them together."""
        views = [self._views(batch) for batch in batches]
        targets = self._targets([seen for seen, _ in views], knobs.teacher_temp)
        for (seen, mirrored), said in zip(views, targets, strict=True):
            yield self._losses(seen, mirrored, said, knobs)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """AdamW groups of the heads."""
        named = [pair for head in self.student.values() for pair in head.named_parameters()]
        return fused_groups((parameter, head_rates(name)) for name, parameter in named)

    def after_step(self, knobs: StepKnobs) -> None:
        """Move the average."""
        update_ema(self.average, self.student, knobs.teacher_momentum)
        self.dino_targets.commit()
        self.ibot_targets.commit()

    def result(self) -> nn.ModuleDict:
        """The averaged heads; there is no backbone among them."""
        return self.average

    def train(self, mode: bool = True) -> Self:
        """Set the heads' mode; the average never trains."""
        super().train(mode)
        self.average.eval()
        return self

    def _views(self, batch: CropBatch) -> tuple[TeacherTokens, Tensor]:
        """The teacher's tokens, and its patches of the mirrored crops put back in place."""
        crops, reference = batch.global_crops, self.settings.reference_patch
        mirrored, h = self.teacher.on_grid(crops.flip(-1), reference).patches, crops.shape[-1] // reference
        return self.teacher.look(batch, reference), mirrored.view(len(mirrored), h, h, -1).flip(2).flatten(1, 2)

    def _targets(self, views: Sequence[TeacherTokens], temp: float) -> list[StepTargets]:
        """Targets of the averaged heads."""
        dino_head, ibot_head = self._heads(self.average)
        with torch.no_grad():
            cls = torch.cat([dino_head.bottleneck(seen.cls) for seen in views])
            patches = torch.cat([ibot_head.bottleneck(seen.patches.flatten(0, 1)) for seen in views])
            dino = self.dino_targets.targets(cls, dino_head.prototypes(), temp)
            ibot = self.ibot_targets.targets(patches, ibot_head.prototypes(), temp)
        images = [len(seen.cls) // 2 for seen in views]
        found, dino_row, ibot_row = [], 0, 0
        for seen, count in zip(views, images, strict=True):
            crops, patches_each = seen.patches.shape[:2]
            weights = all_patches(crops, patches_each, seen.patches.device).weights
            sizes = DinoBatch(count, sum(images), local_crops=0)
            found.append(StepTargets(shifted_rows(dino, dino_row), shifted_rows(ibot, ibot_row), weights, sizes))
            dino_row, ibot_row = dino_row + 2 * count, ibot_row + len(weights)
        return found

    def _losses(self, seen: TeacherTokens, mirrored: Tensor, targets: StepTargets, knobs: StepKnobs) -> LossTerms:
        dino_head, ibot_head = self._heads(self.student)
        cls = dino_head.bottleneck(seen.cls)
        dino_prototypes = dino_head.prototypes()
        view = StudentView(
            cls_tokens=seen.cls,
            global_cls=cls,
            local_cls=cls[:0],
            patches=ibot_head.bottleneck(mirrored.flatten(0, 1)),
            dino_prototypes=dino_prototypes,
            ibot_prototypes=dino_prototypes if ibot_head is dino_head else ibot_head.prototypes(),
        )
        total, losses = prototype_losses(view, targets, PrototypeWeights(student_temp=self.settings.student_temp))
        terms = {name: losses[name] for name in ("dino_global", "ibot")}
        diagnostics = _diagnostics(view, targets, losses) if knobs.diagnose else {}
        return LossTerms(total, terms, dict(terms), diagnostics)

    def _heads(self, modules: nn.ModuleDict) -> tuple[PrototypeHead, PrototypeHead]:
        dino = cast(PrototypeHead, modules["dino_head"])
        return dino, cast(PrototypeHead, modules["ibot_head"]) if "ibot_head" in modules else dino


def _diagnostics(view: StudentView, targets: StepTargets, losses: dict[str, Tensor]) -> dict[str, Tensor]:
    share = targets.sizes.images / targets.sizes.step_images
    values = {
        **target_statistics("dino", targets.dino, len(view.global_cls)),
        **target_statistics("ibot", targets.ibot, len(view.patches)),
    }
    values = {name: value * share for name, value in values.items()}
    return values | {"dino_loss_over_ln_k": losses["dino_global"] / math.log(len(view.dino_prototypes))}
