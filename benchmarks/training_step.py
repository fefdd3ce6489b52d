"""One training step on one CPU thread: ours beside the same step without each of its savings.

    python benchmarks/training_step.py [--arch vits14] [--prototypes 4096 65536] [--images 4] [--rounds 5]

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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
import torch
from step_variants import PLAIN, Lacks, Variant

from trainer.data.batch import CropBatch
from trainer.engine.freed_memory import keep_freed_memory
from trainer.methods.dinov2_settings import DinoV2Settings
from trainer.models.heads import HeadSettings
from trainer.models.sizes import vit_settings
from trainer.optim.adamw import build_adamw
from trainer.optim.knobs import StepKnobs

KNOBS = StepKnobs(lr=1e-4, weight_decay=0.04, teacher_momentum=0.99, teacher_temp=0.04, last_layer_lr=1e-4)

VARIANTS = {
    "ours": Lacks(),
    "separate forwards": Lacks(packing=True),
    "full logits": Lacks(chunks=True),
    "masked depth": Lacks(kept_subset=True),
    "all tokens": Lacks(chosen_rows=True),
    "plain": PLAIN,
}


@dataclass(frozen=True)
class Bench:
    """A method, its optimiser and the batch it steps on."""

    method: Variant
    optimizer: torch.optim.Optimizer
    batch: CropBatch

    def step(self) -> tuple[float, float]:
        """CPU seconds and loss of one step."""
        began = time.process_time()
        report = self.method.step(self.optimizer, [self.batch], KNOBS)
        return time.process_time() - began, report.total


def build(name: str, prototypes: int, arguments: argparse.Namespace) -> Bench:
    """A variant with seeded weights and data."""
    torch.manual_seed(0)
    backbone = vit_settings(arguments.arch, image_size=224, drop_path_rate=0.3)
    head = HeadSettings(prototypes=prototypes)
    method = Variant(DinoV2Settings(backbone=backbone, dino_head=head), VARIANTS[name]).train()
    B, side = arguments.images, 224 // backbone.patch_size
    small = 98 if backbone.patch_size % 7 == 0 else 96
    masks = torch.zeros(2 * B, side * side, dtype=torch.bool)
    for crop in range(0, 2 * B, 2):
        share = 0.1 + 0.4 * (crop / 2 + 0.5) / B
        masks[crop, torch.randperm(side * side)[: int(share * side * side)]] = True
    batch = CropBatch(torch.randn(2 * B, 3, 224, 224), torch.randn(8 * B, 3, small, small), masks, ("",) * B, 0)
    return Bench(method, build_adamw(method.parameter_groups()), batch)


def compare(name: str, prototypes: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Paired steps of ours and a variant; both start from the same weights, so their first losses must agree."""
    ours, other = build("ours", prototypes, arguments), build(name, prototypes, arguments)
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
    of_theirs = statistics.median(1 / ratio for ratio in ratios)
    return {"seconds": medians, "ratio": statistics.median(ratios), "ours_over_it": of_theirs, "ratios": ratios}


def peak(name: str, prototypes: int, arguments: argparse.Namespace) -> float:
    """Peak resident GiB of a process that takes two steps of a variant."""
    command = [sys.executable, __file__, "--peak-of", name, "--arch", arguments.arch]
    command += ["--prototypes", str(prototypes), "--images", str(arguments.images)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure(prototypes: int, peaks: dict[str, float], arguments: argparse.Namespace) -> dict[str, Any]:
    """All variants beside ours at one number of prototypes."""
    print(f"{prototypes} prototypes, ours: peak {peaks['ours']:.2f} GiB")
    against: dict[str, Any] = {}
    for name in arguments.variants:
        found = against[name] = compare(name, prototypes, arguments)
        ours, other = found["seconds"].values()
        print(
            f"{name:18s} {other:6.2f} CPU-s, ours {ours:6.2f}: {found['ours_over_it']:.2f}x its time, "
            f"peak {peaks[name]:.2f} GiB",
            flush=True,
        )
    return {"peak_gib": peaks, "against": against}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", default="vits14")
    parser.add_argument("--prototypes", type=int, nargs="+", default=[4096, 65536])
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--variants", nargs="*", default=[name for name in VARIANTS if name != "ours"])
    parser.add_argument("--peak-of", choices=sorted(VARIANTS), help="print the peak memory of one variant and end")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "training_step.json")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    if arguments.peak_of:
        bench = build(arguments.peak_of, arguments.prototypes[0], arguments)
        for _ in range(2):
            bench.step()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
        return
    # Before anything grows here: a process begins with its parent's size as its peak.
    peaks = {
        k: {name: peak(name, k, arguments) for name in ["ours", *arguments.variants]} for k in arguments.prototypes
    }
    report: dict[str, Any] = {
        "what": f"{arguments.arch}, {arguments.images} images, fp32, 1 thread, {arguments.rounds} rounds",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "prototypes": {str(k): measure(k, peaks[k], arguments) for k in arguments.prototypes},
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
