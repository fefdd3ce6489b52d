"""One training step on one CPU thread: ours beside the same step without each of its savings.

    python benchmarks/training_step.py [--arch vits14] [--prototypes 4096] [--images 4] [--rounds 5] [--out FILE.json]

Variants, each equal to ours but for rounding:
  separate forwards   global and local crops pass through the backbone one after the other
  full logits         all rows x prototypes are held, with log-softmax by autograd
  masked depth        stochastic depth computes every sample and multiplies the dropped ones by zero
  all tokens          the last block computes every token
  plain               all of these together
Rounds alternate ours and the variant in one process; CPU seconds are counted; the ratio is the median over rounds.
Peak memory is that of a process of its own. 2 x 224 + 8 x 98 px crops, float32, drop path 0.3, shared head, AdamW.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

os.environ.setdefault("OMP_NUM_THREADS", "1")
import torch
from torch import Tensor

from trainer.data.batch import CropBatch
from trainer.engine.freed_memory import keep_freed_memory
from trainer.engine.step import training_step
from trainer.layers.block import Block
from trainer.layers.packing import PackedLayout, pack
from trainer.layers.stochastic_depth import BlockDraw, DepthDraws, draw_depth, residual_scales
from trainer.losses.ibot_loss import PatchChoice
from trainer.methods import dinov2 as method_module
from trainer.methods.dinov2 import DinoV2
from trainer.methods.dinov2_settings import DinoV2Settings
from trainer.methods.prototype_losses import PrototypeWeights, StepTargets, StudentView, prototype_losses
from trainer.models.heads import HeadSettings
from trainer.models.sizes import vit_settings
from trainer.models.vision_transformer import VisionTransformer
from trainer.optim.adamw import build_adamw
from trainer.optim.knobs import StepKnobs

KNOBS = StepKnobs(lr=1e-4, weight_decay=0.04, teacher_momentum=0.99, teacher_temp=0.04, last_layer_lr=1e-4)


@dataclass(frozen=True)
class Lacks:
    """Which savings a variant does without."""

    packing: bool = False
    chunks: bool = False
    kept_subset: bool = False
    chosen_rows: bool = False


VARIANTS = {
    "ours": Lacks(),
    "separate forwards": Lacks(packing=True),
    "full logits": Lacks(chunks=True),
    "masked depth": Lacks(kept_subset=True),
    "all tokens": Lacks(chosen_rows=True),
    "plain": Lacks(packing=True, chunks=True, kept_subset=True, chosen_rows=True),
}


class Variant(DinoV2):
    """DINOv2 without some of the savings."""

    def __init__(self, settings: DinoV2Settings, lacks: Lacks) -> None:
        super().__init__(settings)
        self.lacks = lacks

    def _student_tokens(self, batch: CropBatch, choice: PatchChoice, draws: DepthDraws | None) -> list[Tensor]:
        lacks = self.lacks
        if not (lacks.packing or lacks.kept_subset or lacks.chosen_rows):
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
        if not self.lacks.kept_subset:
            if not self.lacks.chosen_rows:
                return backbone.forward_rows(images, masks, rows, draws)
            outputs = backbone.forward_packed(images, masks, draws)
            every = [torch.cat([o.cls[:, None], o.registers, o.patches], 1).flatten(0, 1) for o in outputs]
            return torch.cat(every)[rows]
        x, layout = pack([backbone._tokens(group, mask) for group, mask in zip(images, masks, strict=True)])
        for block, draw in zip(backbone.blocks, draws, strict=True):
            x = masked_block(cast(Block, block), x, layout, cast(BlockDraw, draw))
        normed: Tensor = backbone.norm(x)
        return normed[rows]


def group_draw(draw: BlockDraw | None, group: int) -> BlockDraw | None:
    """The part of a draw that belongs to one crop group."""
    return draw and BlockDraw((draw.attention[group],), (draw.ffn[group],))


def masked_block(block: Block, x: Tensor, layout: PackedLayout, draw: BlockDraw) -> Tensor:
    """A block that computes everything and multiplies the residuals of dropped samples by zero."""
    attended = block.attend(x, layout) - x
    x = x + residual_scales(draw.attention, layout, x.device)[:, None] * attended
    return x + residual_scales(draw.ffn, layout, x.device)[:, None] * block._feed_forward(x)


def full_logits_losses(
    student: StudentView, targets: StepTargets, weights: PrototypeWeights
) -> tuple[Tensor, dict[str, Tensor]]:
    """The losses by their definition, all logits held at once."""
    sizes, B = targets.sizes, targets.sizes.images

    def log_p(features: Tensor) -> Tensor:
        return torch.log_softmax(features @ student.dino_prototypes.T / weights.student_temp, dim=-1)

    teacher = targets.dino(0, 2 * B)
    per_pair = 1 / (B * sizes.pairs)
    local = -per_pair * (log_p(student.local_cls).view(-1, B, teacher.shape[1]) * (teacher[:B] + teacher[B:])).sum()
    global_ = -per_pair * (log_p(student.global_cls) * teacher.roll(B, dims=0)).sum()
    patches = (log_p(student.patches) * targets.ibot(0, len(student.patches))).sum(-1)
    ibot = -(patches * targets.patch_weights).sum() / (2 * B)
    total = weights.dino * (local + global_) + weights.ibot * ibot
    return total, {"dino_local": local.detach(), "dino_global": global_.detach(), "ibot": ibot.detach()}


@dataclass(frozen=True)
class Bench:
    """A method, its optimiser and the batch it steps on."""

    method: Variant
    optimizer: torch.optim.Optimizer
    batch: CropBatch

    def step(self) -> tuple[float, float]:
        """CPU seconds and loss of one step."""
        method_module.prototype_losses = full_logits_losses if self.method.lacks.chunks else prototype_losses  # type: ignore[attr-defined]
        began = time.process_time()
        report = training_step(self.method, self.optimizer, [self.batch], KNOBS)
        return time.process_time() - began, report.total


def build(name: str, arguments: argparse.Namespace) -> Bench:
    """A variant with seeded weights and data."""
    torch.manual_seed(0)
    backbone = vit_settings(arguments.arch, image_size=224, drop_path_rate=0.3)
    head = HeadSettings(prototypes=arguments.prototypes)
    method = Variant(DinoV2Settings(backbone=backbone, dino_head=head), VARIANTS[name]).train()
    B, side = arguments.images, 224 // backbone.patch_size
    small = 98 if backbone.patch_size % 7 == 0 else 96
    masks = torch.zeros(2 * B, side * side, dtype=torch.bool)
    for crop in range(0, 2 * B, 2):
        share = 0.1 + 0.4 * (crop / 2 + 0.5) / B
        masks[crop, torch.randperm(side * side)[: int(share * side * side)]] = True
    batch = CropBatch(torch.randn(2 * B, 3, 224, 224), torch.randn(8 * B, 3, small, small), masks, ("",) * B, 0)
    return Bench(method, build_adamw(method.parameter_groups()), batch)


def compare(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Paired steps of ours and a variant; both start from the same weights, so their first losses must agree."""
    ours, other = build("ours", arguments), build(name, arguments)
    losses = []
    for bench in (ours, other):
        torch.manual_seed(1)
        losses.append(bench.step()[1])
    # At initial weights all images look alike, and KoLeo's log of tiny distances magnifies rounding.
    assert abs(losses[0] / losses[1] - 1) < 1e-3, (name, losses)
    seconds: dict[str, list[float]] = {"ours": [], name: []}
    for round_ in range(arguments.rounds):
        pairs = [("ours", ours), (name, other)]
        for label, bench in pairs if round_ % 2 else reversed(pairs):
            seconds[label].append(bench.step()[0])
    ratios = [b / a for a, b in zip(seconds["ours"], seconds[name], strict=True)]
    medians = {label: statistics.median(found) for label, found in seconds.items()}
    return {"seconds": medians, "ratio": statistics.median(ratios), "ratios": ratios}


def peak(name: str, arguments: argparse.Namespace) -> float:
    """Peak resident GiB of a process that takes two steps of a variant."""
    command = [sys.executable, __file__, "--peak-of", name, "--arch", arguments.arch]
    command += ["--prototypes", str(arguments.prototypes), "--images", str(arguments.images)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", default="vits14")
    parser.add_argument("--prototypes", type=int, default=4096)
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--variants", nargs="*", default=[name for name in VARIANTS if name != "ours"])
    parser.add_argument("--peak-of", choices=sorted(VARIANTS), help="print the peak memory of one variant and end")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "training_step.json")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    if arguments.peak_of:
        bench = build(arguments.peak_of, arguments)
        for _ in range(2):
            bench.step()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
        return
    report: dict[str, Any] = {
        "what": f"{arguments.arch}, {arguments.images} images, {arguments.prototypes} prototypes, fp32, 1 thread",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "peak_gib": {name: peak(name, arguments) for name in ["ours", *arguments.variants]},
        "against": {},
    }
    print(f"ours: peak {report['peak_gib']['ours']:.2f} GiB")
    for name in arguments.variants:
        found = report["against"][name] = compare(name, arguments)
        ours, other = found["seconds"].values()
        print(
            f"{name:18s} {other:6.2f} CPU-s beside our {ours:6.2f}: {found['ratio']:.2f}x the time, "
            f"peak {report['peak_gib'][name]:.2f} GiB",
            flush=True,
        )
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
