"""DINOv2: a student learns from its own moving average, by image (DINO), by masked patch (iBOT), by spread (KoLeo).

Dimensions: B images, L local crops, N patches of a global crop, M masked patches, D width; crop-major order.
Source: DINOv2 (arXiv 2304.07193), section 4, and the released training code.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self, cast

import torch
from torch import Tensor, nn

from trainer.losses.dino_loss import DinoBatch
from trainer.losses.ibot_loss import PatchChoice, masked_patches
from trainer.losses.koleo import koleo_loss
from trainer.losses.teacher_targets import TargetRows, shifted_rows
from trainer.methods.diagnostics import agreement, feature_cosine, lead_over_average, rank_me, target_statistics
from trainer.methods.dinov2_settings import DinoV2Settings
from trainer.methods.gram_anchor import GramAnchor
from trainer.methods.method import LossTerms, Method, StepKnobs
from trainer.methods.prototype_losses import PrototypeWeights, StepTargets, StudentView, prototype_losses
from trainer.methods.target_makers import TargetMaker, build_target_maker
from trainer.models.heads import PrototypeHead
from trainer.models.vision_transformer import VisionTransformer
from trainer.optim.ema import update_ema
from trainer.optim.param_groups import GroupSettings, parameter_groups

if TYPE_CHECKING:
    from trainer.data.batch import CropBatch
    from trainer.layers.stochastic_depth import DepthDraws


class DinoV2(Method):
    """The method on one rank; `teacher` mirrors `student` and is moved, never trained."""

    def __init__(self, settings: DinoV2Settings) -> None:
        super().__init__()
        self.settings = settings
        backbone = VisionTransformer(settings.backbone)
        self.student = nn.ModuleDict({"backbone": backbone})
        self.student["dino_head"] = PrototypeHead(backbone.embed_dim, settings.dino_head)
        if settings.ibot_head is not None:
            self.student["ibot_head"] = PrototypeHead(backbone.embed_dim, settings.ibot_head)
        self.teacher = copy.deepcopy(self.student).requires_grad_(False).eval()
        self.gram = None if settings.gram is None else GramAnchor(_backbone(self.teacher), settings.gram)
        ibot = settings.ibot_head or settings.dino_head
        self.dino_targets: TargetMaker = build_target_maker(settings.centering, settings.dino_head.prototypes)
        self.ibot_targets: TargetMaker = build_target_maker(settings.centering, ibot.prototypes)

    def losses(self, batch: CropBatch, knobs: StepKnobs, draws: DepthDraws | None = None) -> LossTerms:
        """Losses of one batch; `draws` fixes the samples that stochastic depth keeps in the student."""
        return next(self.micro_losses([batch], knobs, [draws]))

    def micro_losses(
        self,
        batches: Sequence[CropBatch],
        knobs: StepKnobs,
        draws: Sequence[DepthDraws | None] | None = None,
    ) -> Iterator[LossTerms]:
        """Losses of micro-batches whose targets are balanced or centered over all of them together.

        Differs from one large batch only in KoLeo, which sees the neighbours inside a micro-batch.
        """
        if self.gram is not None:
            self.gram.before_step(_backbone(self.teacher), knobs.step)
        wide = torch.promote_types(batches[0].global_crops.dtype, torch.float32)
        choices = [masked_patches(batch.masks, wide) for batch in batches]
        dino, ibot = self._teacher_targets(batches, choices, knobs.teacher_temp)
        images = [batch.global_crops.shape[0] // 2 for batch in batches]
        dino_row = ibot_row = 0
        for index, (batch, choice) in enumerate(zip(batches, choices, strict=True)):
            targets = StepTargets(
                dino=shifted_rows(dino, dino_row),
                ibot=shifted_rows(ibot, ibot_row),
                patch_weights=choice.weights,
                sizes=DinoBatch(images[index], sum(images), batch.local_crops.shape[0] // images[index]),
            )
            yield self._losses(batch, choice, targets, knobs, None if draws is None else draws[index])
            dino_row, ibot_row = dino_row + 2 * images[index], ibot_row + len(choice.indices)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """AdamW groups of the student."""
        s = self.settings
        groups = GroupSettings(s.backbone.depth, s.layerwise_decay, s.patch_embed_multiplier)
        return parameter_groups(self.student, groups)

    def after_step(self, knobs: StepKnobs) -> None:
        """Move the teacher and keep the centers' new means."""
        update_ema(self.teacher, self.student, knobs.teacher_momentum)
        self.dino_targets.commit()
        self.ibot_targets.commit()

    def result(self) -> nn.ModuleDict:
        """The teacher: it is what the paper evaluates and releases."""
        return self.teacher

    def train(self, mode: bool = True) -> Self:
        """Set the student's mode; the teacher and the anchor never train."""
        super().train(mode)
        self.teacher.eval()
        if self.gram is not None:
            self.gram.eval()
        return self

    @torch.no_grad()
    def _teacher_targets(
        self, batches: Sequence[CropBatch], choices: Sequence[PatchChoice], temp: float
    ) -> tuple[TargetRows, TargetRows]:
        """Act one: the teacher looks at the unmasked global crops. Rows: per micro-batch [2 * B] and [M]."""
        backbone, dino_head = _backbone(self.teacher), _head(self.teacher, "dino_head")
        ibot_head = self._ibot_head(self.teacher)
        cls, patches = [], []
        for batch, choice in zip(batches, choices, strict=True):
            layout = backbone.layout([batch.global_crops])
            rows = layout.patch_rows(0, choice.indices, backbone.prefix_tokens)
            wanted = torch.cat([layout.token_rows(0, 0, rows.device), rows])
            tokens = backbone.forward_rows([batch.global_crops], [None], wanted)
            cls.append(dino_head.bottleneck(tokens[: len(batch.global_crops)]))
            patches.append(ibot_head.bottleneck(tokens[len(batch.global_crops) :]))
        dino = self.dino_targets.targets(torch.cat(cls), dino_head.prototypes(), temp)
        ibot = self.ibot_targets.targets(torch.cat(patches), ibot_head.prototypes(), temp)
        return dino, ibot

    def _student_tokens(self, batch: CropBatch, choice: PatchChoice, draws: DepthDraws | None) -> list[Tensor]:
        """Act two: the student looks at masked global crops and at local crops, in one pass.

        Shapes: CLS [2 * B, D], CLS of local crops [L * B, D], masked patches [M, D]; with Gram anchoring also all
        patches [2 * B * N, D].
        """
        backbone = _backbone(self.student)
        groups = [batch.global_crops] + ([batch.local_crops] if len(batch.local_crops) else [])
        masks: list[Tensor | None] = [batch.masks] + [None] * (len(groups) - 1)
        layout, prefix, device = backbone.layout(groups), backbone.prefix_tokens, batch.masks.device
        wanted = [layout.token_rows(group, 0, device) for group in range(len(groups))]
        if len(groups) == 1:
            wanted.append(choice.indices[:0])
        wanted.append(layout.patch_rows(0, choice.indices, prefix))
        if self.gram is not None:
            wanted.append(layout.patch_rows(0, torch.arange(batch.masks.numel(), device=device), prefix))
        tokens = backbone.forward_rows(groups, masks, torch.cat(wanted), draws)
        return list(torch.split(tokens, [len(rows) for rows in wanted]))

    def _student_view(self, cls: Tensor, local: Tensor, patches: Tensor) -> StudentView:
        """The student's heads on its tokens; a shared head sees all of them at once."""
        dino_head, ibot_head = _head(self.student, "dino_head"), self._ibot_head(self.student)
        dino_prototypes = dino_head.prototypes()
        if ibot_head is dino_head:
            ibot_prototypes = dino_prototypes
            first, second, third = _bottlenecks(dino_head, [cls, local, patches])
        else:
            ibot_prototypes = ibot_head.prototypes()
            first, second = _bottlenecks(dino_head, [cls, local])
            third = ibot_head.bottleneck(patches)
        return StudentView(cls, first, second, third, dino_prototypes, ibot_prototypes)

    def _losses(
        self,
        batch: CropBatch,
        choice: PatchChoice,
        targets: StepTargets,
        knobs: StepKnobs,
        draws: DepthDraws | None,
    ) -> LossTerms:
        """Act three: the losses, each as it is back-propagated and as the official code logs it."""
        s, share = self.settings, targets.sizes.images / targets.sizes.step_images
        cls, local, patches, *all_patches = self._student_tokens(batch, choice, draws)
        student = self._student_view(cls, local, patches)
        weights = PrototypeWeights(s.dino_weight, s.ibot_weight, s.student_temp)
        total, losses = prototype_losses(student, targets, weights)
        koleo = total.new_zeros(())
        if s.koleo_weight:
            spread = [koleo_loss(crop, s.koleo_min_distance, s.koleo_distributed) for crop in cls.chunk(2)]
            koleo = s.koleo_weight * share * torch.stack(spread).sum()
        terms = {
            "dino_local": s.dino_weight * losses["dino_local"],
            "dino_global": s.dino_weight * losses["dino_global"],
            "koleo": koleo,
            "ibot": s.ibot_weight * losses["ibot"],
        }
        logged = {
            "dino_local_crops_loss": losses["dino_local"],
            "dino_global_crops_loss": losses["dino_global"],
            "koleo_loss": koleo / 2,
            "ibot_loss": losses["ibot"] / 2,
        }
        total = total + koleo
        if self.gram is not None:
            maps = all_patches[0].view(*batch.masks.shape, -1)
            terms["gram"] = logged["gram_loss"] = share * self.gram.loss(maps, batch.global_crops, knobs.step)
            total = total + terms["gram"]
        diagnostics = {}
        if knobs.diagnose:
            diagnostics = _diagnostics(student, targets, losses)
            diagnostics["student_lead"] = share * lead_over_average(self.student, self.teacher)
        return LossTerms(
            total=total,
            terms={name: value.detach() for name, value in terms.items()},
            logged={name: value.detach() for name, value in logged.items()},
            diagnostics=diagnostics,
        )

    def _ibot_head(self, modules: nn.ModuleDict) -> PrototypeHead:
        """The head of the patches: its own, or the shared one."""
        return _head(modules, "dino_head" if self.settings.ibot_head is None else "ibot_head")


def _backbone(modules: nn.ModuleDict) -> VisionTransformer:
    return cast(VisionTransformer, modules["backbone"])


def _head(modules: nn.ModuleDict, name: str) -> PrototypeHead:
    return cast(PrototypeHead, modules[name])


def _bottlenecks(head: PrototypeHead, parts: Sequence[Tensor]) -> list[Tensor]:
    """Bottleneck features of several token sets in one pass of the head."""
    return list(torch.split(head.bottleneck(torch.cat(list(parts))), [len(part) for part in parts]))


def _diagnostics(student: StudentView, targets: StepTargets, losses: dict[str, Tensor]) -> dict[str, Tensor]:
    """Signs of life of one micro-batch, as its share of the step (sums over micro-batches are means)."""
    share = targets.sizes.images / targets.sizes.step_images
    rows = len(student.global_cls)
    values = {
        **target_statistics("dino", targets.dino, rows),
        **target_statistics("ibot", targets.ibot, len(student.patches)),
        "agreement": agreement(student.global_cls.roll(rows // 2, dims=0), student.dino_prototypes, targets.dino),
        "rank_me": rank_me(student.cls_tokens),
        "feature_cosine": feature_cosine(student.cls_tokens),
    }
    return {name: value * share for name, value in values.items()} | _over_ln_k(student, targets, losses)


def _over_ln_k(student: StudentView, targets: StepTargets, losses: dict[str, Tensor]) -> dict[str, Tensor]:
    """Mean cross entropy of each loss over ln K, the value of guessing, whatever its weight and divisor."""
    sizes, ln_k = targets.sizes, math.log(len(student.dino_prototypes))
    local, global_ = losses["dino_local"], losses["dino_global"]
    found = {"dino_loss_over_ln_k": (local + global_) / ln_k}
    found["dino_global_over_ln_k"] = global_ * sizes.pairs / 2 / ln_k
    if sizes.local_crops:
        found["dino_local_over_ln_k"] = local * sizes.pairs / (2 * sizes.local_crops) / ln_k
    if len(student.patches):
        crops = 2 * sizes.images / targets.patch_weights.sum()  # all crops over masked ones
        found["ibot_loss_over_ln_k"] = losses["ibot"] * crops / math.log(len(student.ibot_prototypes))
    return {name: value.detach() for name, value in found.items()}
