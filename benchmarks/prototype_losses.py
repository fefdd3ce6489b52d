"""Peak memory of the prototype losses, forward and backward: ours in chunks beside the plain definition.

    python benchmarks/prototype_losses.py [--tokens 4096] [--prototypes 131072] [--threads 1]

4,096 masked tokens (bottleneck features of 256) against 131,072 prototypes, float32, with the targets, made in
both ways. Each measurement has a process of its own: the most resident memory while the loss and its gradients are
computed, over what there was with all inputs made. "Plain" holds logits, log-softmax and targets whole, by autograd.
The losses and gradients of both must agree.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor

from trainer.losses.ibot_loss import ibot_segment
from trainer.losses.prototype_cross_entropy import prototype_cross_entropy
from trainer.losses.sinkhorn_knopp import sinkhorn_knopp, sinkhorn_targets
from trainer.losses.softmax_centering import SoftmaxCentering

BOTTLENECK, STUDENT_TEMP, TEACHER_TEMP = 256, 0.1, 0.05
WAYS = ("ours", "plain")
TARGETS = ("centering", "sinkhorn_knopp")


def ours(features: Tensor, prototypes: Tensor, teacher: tuple[Tensor, Tensor], weights: Tensor, targets: str) -> Tensor:
    """The loss of the trainer."""
    if targets == "centering":
        rows = SoftmaxCentering(len(prototypes)).targets(*teacher, TEACHER_TEMP)
    else:
        rows = sinkhorn_targets(*teacher, TEACHER_TEMP)
    return prototype_cross_entropy(ibot_segment(features, rows, weights, 1), prototypes, STUDENT_TEMP)


def plain(
    features: Tensor, prototypes: Tensor, teacher: tuple[Tensor, Tensor], weights: Tensor, targets: str
) -> Tensor:
    """The loss by its definition; the center of a first step is 0."""
    with torch.no_grad():
        logits = torch.nn.functional.linear(*teacher)
        whole = torch.softmax(logits / TEACHER_TEMP, -1) if targets == "centering" else None
        whole = sinkhorn_knopp(logits, TEACHER_TEMP) if whole is None else whole
        del logits
    log_p = torch.log_softmax(torch.nn.functional.linear(features, prototypes) / STUDENT_TEMP, -1)
    return -((whole * log_p).sum(-1) * weights).sum()


def inputs(tokens: int, prototypes: int) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor], Tensor]:
    """Unit features and unit prototypes of student and teacher, weights of the rows."""
    generator = torch.Generator().manual_seed(0)

    def unit(rows: int) -> Tensor:
        return torch.nn.functional.normalize(torch.randn(rows, BOTTLENECK, generator=generator), dim=-1)

    weights = torch.rand(tokens, generator=generator) / tokens
    return unit(tokens).requires_grad_(), unit(prototypes).requires_grad_(), (unit(tokens), unit(prototypes)), weights


def measure(way: str, targets: str, asked: argparse.Namespace, keep: Path) -> dict[str, float]:
    """Peak GiB over the inputs and seconds, in this process; loss and gradients go to a file."""
    torch.set_num_threads(asked.threads)
    act = ours if way == "ours" else plain
    act(*inputs(32, 32), targets).backward()
    features, prototypes, teacher, weights = inputs(asked.tokens, asked.prototypes)
    before, began = psutil.Process().memory_info().rss, time.process_time()
    loss = act(features, prototypes, teacher, weights, targets)
    loss.backward()
    seconds = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    torch.save((loss.detach(), features.grad, prototypes.grad), keep)
    return {"peak_gib": peak / 2**30, "cpu_seconds": seconds}


def run(way: str, targets: str, asked: argparse.Namespace, keep: Path) -> dict[str, float]:
    """`measure` in a process of its own, begun from one that is still small: its peak begins with its parent's size."""
    command = [sys.executable, __file__, "--way", way, "--targets", targets, "--keep", str(keep)]
    for name in ("tokens", "prototypes", "threads"):
        command += [f"--{name}", str(getattr(asked, name))]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return found


def compare(found: dict[str, Any], place: Path) -> dict[str, Any]:
    """Both ways, and how far their results are apart."""
    kept = [torch.load(place / way) for way in WAYS]
    names = ("loss", "gradient_of_features", "gradient_of_prototypes")
    apart = {n: float((a - b).norm() / b.norm()) for n, a, b in zip(names, *kept, strict=True)}
    assert max(apart.values()) < 1e-4, apart
    share = found["ours"]["peak_gib"] / found["plain"]["peak_gib"]
    return {**found, "peak_share": share, "relative_difference": apart}


def main() -> None:
    """Compare, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--prototypes", type=int, default=131_072)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "prototype_losses.json")
    for name, known in (("--way", WAYS), ("--targets", TARGETS), ("--keep", None)):
        parser.add_argument(name, choices=known, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.way:
        print(json.dumps(measure(asked.way, asked.targets, asked, Path(asked.keep))))
        return
    what = f"{asked.tokens} tokens x {asked.prototypes} prototypes, {BOTTLENECK} wide, fp32, {asked.threads} thread"
    report: dict[str, Any] = {"what": what, "python": platform.python_version(), "torch": torch.__version__}
    print(what)
    with tempfile.TemporaryDirectory() as name:
        places = {targets: Path(name) / targets for targets in TARGETS}
        for place in places.values():
            place.mkdir()
        measured = {t: {way: run(way, t, asked, place / way) for way in WAYS} for t, place in places.items()}
        for targets, place in places.items():
            found = report[targets] = compare(measured[targets], place)
            numbers = ", ".join(f"{w} {found[w]['peak_gib']:.2f} GiB {found[w]['cpu_seconds']:.1f} CPU-s" for w in WAYS)
            print(f"{targets}: {numbers}; {found['peak_share']:.3f} of plain, apart {found['relative_difference']}")
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
