"""DINOv2 steps without some of the savings: what training_step.py and gpu.py hold ours against.

Every variant is equal to ours but for rounding. B images, M masked patches, H bottleneck width, K prototypes.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from trainer.data.batch import CropBatch
from trainer.engine.step import StepReport, training_step
from trainer.layers.attention import PackedContext
from trainer.layers.block import Block, _expand
from trainer.layers.packing import PackedLayout
from trainer.layers.rope import RotaryTables
from trainer.layers.stochastic_depth import BlockDraw, DepthDraws, draw_depth, residual_scales
from trainer.losses.ibot_loss import PatchChoice
from trainer.losses.sinkhorn_knopp import sinkhorn_targets
from trainer.losses.teacher_targets import TargetRows
from trainer.methods import dinov2 as method_module
from trainer.methods.dinov2 import DinoV2
from trainer.methods.dinov2_settings import DinoV2Settings
from trainer.methods.prototype_losses import PrototypeWeights, StepTargets, StudentView, prototype_losses
from trainer.methods.target_makers import SinkhornKnopp
from trainer.models.vision_transformer import VisionTransformer
from trainer.optim.knobs import StepKnobs


@dataclass(frozen=True)
class Lacks:
    """Which savings a variant does without; `foreach`: the moving average is moved weight by weight."""

    packing: bool = False
    chunks: bool = False
    kept_subset: bool = False
    chosen_rows: bool = False
    foreach: bool = False


PLAIN = Lacks(packing=True, chunks=True, kept_subset=True, chosen_rows=True)
"""The standard way: global and local crops in passes of their own, all logits held, depth by multiplying with zero."""


class Variant(DinoV2):
    """DINOv2 without some of the savings; Sinkhorn-Knopp targets."""

    def __init__(self, settings: DinoV2Settings, lacks: Lacks) -> None:
        super().__init__(settings)
        self.lacks = lacks
        if lacks.kept_subset:
            for block in cast(VisionTransformer, self.student["backbone"]).blocks:
                block.__class__ = MaskedBlock
        if lacks.chunks:
            self.dino_targets = self.ibot_targets = WholeSinkhornKnopp()

    def step(
        self,
        optimizer: torch.optim.Optimizer,
        batches: Sequence[CropBatch],
        knobs: StepKnobs,
        dtype: torch.dtype | None = None,
    ) -> StepReport:
        """One optimiser step."""
        method_module.prototype_losses = full_logits_losses if self.lacks.chunks else prototype_losses  # type: ignore[attr-defined]
        return training_step(self, optimizer, batches, knobs, autocast_dtype=dtype)

    def after_step(self, knobs: StepKnobs) -> None:
        """Move the teacher and keep the centers' new means."""
        if not self.lacks.foreach:
            super().after_step(knobs)
            return
        with torch.no_grad():
            for average, current in zip(self.teacher.parameters(), self.student.parameters(), strict=True):
                average.mul_(knobs.teacher_momentum).add_(current, alpha=1 - knobs.teacher_momentum)
        self.dino_targets.commit()
        self.ibot_targets.commit()

    def _student_tokens(self, batch: CropBatch, choice: PatchChoice, draws: DepthDraws | None) -> list[Tensor]:
        lacks = self.lacks
        if not (lacks.packing or lacks.chosen_rows):
            return super()._student_tokens(batch, choice, draws)
        backbone = cast(VisionTransformer, self.student["backbone"])
        crops, masks = [batch.global_crops, batch.local_crops], [batch.masks, None]
        drawn = draw_depth(backbone.drop_path_rates(), [len(group) for group in crops])
        alone = [([crops[g]], [masks[g]], [group_draw(draw, g) for draw in drawn], [g]) for g in (0, 1)]
        passes = alone if lacks.packing else [(crops, masks, drawn, [0, 1])]
        found: dict[str, Tensor] = {}
        for images, given, depth, groups in passes:
            layout = backbone.layout(images)
            rows = {f"cls{g}": layout.token_rows(i, 0, batch.masks.device) for i, g in enumerate(groups)}
            if 0 in groups:
                rows["patches"] = layout.patch_rows(0, choice.indices, backbone.prefix_tokens)
            tokens = self._tokens(backbone, images, given, torch.cat([*rows.values()]), depth)
            found |= dict(zip(rows, tokens.split([len(r) for r in rows.values()]), strict=True))
        return [found["cls0"], found["cls1"], found["patches"]]

    def _tokens(
        self,
        backbone: VisionTransformer,
        images: Sequence[Tensor],
        masks: Sequence[Tensor | None],
        rows: Tensor,
        draws: DepthDraws,
    ) -> Tensor:
        if not self.lacks.chosen_rows:
            return backbone.forward_rows(images, masks, rows, draws)
        outputs = backbone.forward_packed(images, masks, draws)
        every = [torch.cat([o.cls[:, None], o.registers, o.patches], 1).flatten(0, 1) for o in outputs]
        return torch.cat(every)[rows]


class MaskedBlock(Block):
    """A block that computes everything and multiplies the residuals of dropped samples by zero."""

    def forward(
        self,
        x: Tensor,
        layout: PackedLayout,
        rotary: Sequence[RotaryTables] | None = None,
        draw: BlockDraw | None = None,
        rows: Tensor | None = None,
    ) -> Tensor:
        """As Block.forward."""
        if draw is None:
            return super().forward(x, layout, rotary, draw, rows)
        attended: Tensor = self.ls1(self.attn(self.norm1(x), PackedContext(layout, _expand(rotary, layout))))
        x = x + residual_scales(draw.attention, layout, x.device)[:, None] * attended
        if rows is not None:
            return self.feed_rows(x, rows, layout, draw)
        return x + residual_scales(draw.ffn, layout, x.device)[:, None] * self._feed_forward(x)


class WholeSinkhornKnopp(SinkhornKnopp):
    """Sinkhorn-Knopp on logits that are held whole, however many."""

    def targets(self, features: Tensor, prototypes: Tensor, temp: float) -> TargetRows:
        """Three iterations. Shapes: features [M, H], prototypes [K, H]."""
        return sinkhorn_targets(features, prototypes, temp, held_elements=sys.maxsize)


def group_draw(draw: BlockDraw | None, group: int) -> BlockDraw | None:
    """The part of a draw that belongs to one crop group."""
    return draw and BlockDraw((draw.attention[group],), (draw.ffn[group],))


def full_logits_losses(
    student: StudentView, targets: StepTargets, weights: PrototypeWeights
) -> tuple[Tensor, dict[str, Tensor]]:
    """The losses by their definition, all logits held at once."""
    sizes, B = targets.sizes, targets.sizes.images

    def log_p(features: Tensor, prototypes: Tensor) -> Tensor:
        return torch.log_softmax((features @ prototypes.T).float() / weights.student_temp, dim=-1)

    teacher = targets.dino(0, 2 * B)
    per_pair = 1 / (B * sizes.pairs)
    local_log_p = log_p(student.local_cls, student.dino_prototypes).view(-1, B, teacher.shape[1])
    local = -per_pair * (local_log_p * (teacher[:B] + teacher[B:])).sum()
    global_ = -per_pair * (log_p(student.global_cls, student.dino_prototypes) * teacher.roll(B, dims=0)).sum()
    chosen = targets.ibot(0, len(student.patches))
    patches = (log_p(student.patches, student.ibot_prototypes) * chosen).sum(-1)
    ibot = -(patches * targets.patch_weights).sum() / (2 * B)
    total = weights.dino * (local + global_) + weights.ibot * ibot
    return total, {"dino_local": local.detach(), "dino_global": global_.detach(), "ibot": ibot.detach()}
