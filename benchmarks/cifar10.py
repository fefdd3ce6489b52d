"""Does the trainer learn on real images? CIFAR-10: accuracy over the run, beside pixels and random weights.

    python benchmarks/cifar10.py TRAIN.parquet TEST.parquet --work FOLDER [--seed 0]
    python benchmarks/cifar10.py TRAIN.parquet TEST.parquet --run FINISHED_RUN [--max-images 5000]
    python benchmarks/cifar10.py TRAIN.parquet TEST.parquet --work FOLDER --preset cifar10_gpu --out O.json --plot P.png

Pretrains the preset `cifar10` without labels (one to two hours on a CPU; a second call goes on where the first was cut
off), or `cifar10_gpu` on a GPU, then measures k-NN accuracy (k 10 to 200) on all images and a linear probe on 10,000 of
each part: trained, random weights, raw pixels. The curve is the k-NN probe of the run (20 neighbours, 5,000 images of
each part), with both baselines on the same images.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import torch

import trainer.api

K = "20"
"""Neighbours that vote in the curve."""
PROBE_IMAGES = 5000
LINEAR_IMAGES = 10_000
RESULTS = Path(__file__).parent / "results"


def pretrained(asked: argparse.Namespace) -> dict[str, Any]:
    """Run the preset, or the rest of it."""
    settings = [f"run.seed={asked.seed}", f"probe.data={asked.train}", f"probe.test={asked.test}"]
    settings += [f"probe.max_images={PROBE_IMAGES}", *asked.overrides]
    return trainer.api.pretrain(asked.preset, data=asked.train, out=asked.work / "run", overrides=settings, say=say)


def say(text: str) -> None:
    """One line on stdout, at once."""
    print(text, flush=True)


def curve(run: Path) -> list[tuple[int, float]]:
    """Step and k-NN accuracy of every probe, the last phase's steps counted on; a step probed twice counts once."""
    found: dict[int, float] = {}
    for folder in (run, run / "high_resolution"):
        before = max(found, default=0)
        metrics = folder / "metrics.jsonl"
        for line in metrics.read_text().splitlines() if metrics.is_file() else ():
            record = json.loads(line)
            if "probe/knn_accuracy" in record:
                found[before + record["step"]] = record["probe/knn_accuracy"]
    return sorted(found.items())


def evaluated(asked: argparse.Namespace, tasks: list[str], most: int | None) -> dict[str, Any]:
    """Trained model, random weights and raw pixels at 32 px."""
    return trainer.api.evaluate(
        str(asked.run), asked.train, test=asked.test, tasks=tasks, image_px=32, max_images=most, device="auto"
    )


def table(results: dict[str, Any]) -> str:
    """Markdown: one line per contestant."""
    ks = list(results["model"]["knn"])
    lines = [f"| | {' | '.join(f'{k}-NN' for k in ks)} | linear |", "|---" * (len(ks) + 2) + "|"]
    for name in ("raw pixels", "random weights", "model"):
        row = results[name]
        shares = [row["knn"][k]["top1"] for k in ks] + [row["linear"]["top1"] if row.get("linear") else None]
        cells = ["-" if share is None else f"{100 * share:.1f} %" for share in shares]
        lines.append(f"| {'pretrained' if name == 'model' else name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(points: list[tuple[int, float]], baselines: dict[str, float], out: Path) -> None:
    """The curve with its baselines as a small PNG."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5.6, 3.2), layout="constrained")
    axes.plot([step for step, _ in points], [100 * share for _, share in points], marker="o", label="pretrained")
    for (name, share), style in zip(baselines.items(), ("--", ":"), strict=True):
        axes.axhline(100 * share, linestyle=style, color="grey", label=name)
    axes.set(xlabel="step", ylabel=f"{K}-NN accuracy, %", title="CIFAR-10 without labels")
    axes.grid(alpha=0.3)
    axes.legend()
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=100)


def main() -> None:
    """Train, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", help="cifar10-train.parquet, or any labelled images of about 32 px")
    parser.add_argument("test", help="its test images")
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--work", type=Path, help="folder in which to train")
    place.add_argument("--run", type=Path, help="a finished run to measure instead of training one")
    parser.add_argument("--max-images", type=int, help="of each part, for the table (default: all)")
    parser.add_argument("--preset", choices=["cifar10", "cifar10_gpu"], default="cifar10")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", dest="overrides", action="append", default=[], help="settings of the run")
    parser.add_argument("--plot", type=Path, default=RESULTS.parents[1] / "docs" / "cifar10.png")
    parser.add_argument("--out", type=Path, default=RESULTS / "cifar10.json")
    asked = parser.parse_args()
    began, cpu = time.monotonic(), sum(os.times()[:4])
    if asked.run is None:
        asked.run = asked.work / "run"
        pretrained(asked)
    seconds = {"wall": round(time.monotonic() - began, 1), "cpu": round(sum(os.times()[:4]) - cpu, 1)}
    small = evaluated(asked, ["knn"], PROBE_IMAGES)["results"]
    whole = evaluated(asked, ["knn"], asked.max_images)
    for name, row in evaluated(asked, ["linear"], min(LINEAR_IMAGES, asked.max_images or LINEAR_IMAGES))[
        "results"
    ].items():
        whole["results"][name] |= row
    points = curve(asked.run)
    print(table(whole["results"]))
    draw(points, {name: small[name]["knn"][K]["top1"] for name in ("raw pixels", "random weights")}, asked.plot)
    report = {
        "what": "accuracy on CIFAR-10 after pretraining without labels",
        "preset": asked.preset,
        "seed": asked.seed,
        "settings": asked.overrides,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "training_seconds_of_this_call": seconds,
        "training_seconds": json.loads((asked.run / "run.json").read_text()).get("seconds"),
        "curve": [{"step": step, "knn_accuracy": share} for step, share in points],
        "curve_baselines": small,
        "images": whole["images"],
        "results": whole["results"],
    }
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
