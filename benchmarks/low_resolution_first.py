"""What does low resolution first save? The same steps on CIFAR-10, three quarters of them on small crops or none.

    python benchmarks/low_resolution_first.py TRAIN.parquet TEST.parquet --work FOLDER [--steps 400] [--seeds 0]

Usual: all steps of the preset `cifar10` on crops of 32 and 16 px. Low resolution first: three quarters on crops of 20
and 12 px, the last quarter on 32 and 16 px. Both see the same number of images; CPU seconds are those of the training
commands, start included, without probes; accuracy is that of 20-NN on 5,000 test images at 32 px with 5,000 training
images.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import trainer.api

FULL = ["crops.global_px=32", "crops.local_px=16"]
PROBED = 5000


def schedules(steps: int) -> dict[str, list[str]]:
    """Settings of both ways, on top of the preset."""
    first, last = steps * 3 // 4, steps - steps * 3 // 4
    return {
        "usual": [f"run.steps={steps}", *FULL, "high_resolution=null"],
        "low resolution first": [
            f"run.steps={first}",
            f"high_resolution.steps={last}",
            "high_resolution.lr=5e-4",
        ],
    }


def trained(asked: argparse.Namespace, settings: list[str], run: Path) -> float:
    """Train; returns the CPU seconds of the command."""
    words = ["pretrain", "--config", "cifar10", "--data", asked.train, "--out", str(run)]
    off = ["run.export_every_steps=0", "pictures.every_steps=0", "run.device=cpu"]
    for text in [*settings, *off]:
        words += ["--set", text]
    before = sum(os.times()[2:4])
    subprocess.run([Path(sys.executable).with_name("trainer"), *words], check=True)
    return sum(os.times()[2:4]) - before


def accuracy(asked: argparse.Namespace, run: Path) -> dict[str, float]:
    """20-NN accuracy of the model, raw pixels and random weights."""
    report = trainer.api.evaluate(
        str(run), asked.train, test=asked.test, tasks=["knn"], image_px=32, max_images=PROBED, device="cpu"
    )
    return {name: row["knn"]["20"]["top1"] for name, row in report["results"].items()}


def main() -> None:
    """Both ways, seed by seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train")
    parser.add_argument("test")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "low_resolution_first.json")
    asked = parser.parse_args()
    rows: list[dict[str, object]] = []
    for seed in asked.seeds:
        for name, settings in schedules(asked.steps).items():
            run = asked.work / f"{name.replace(' ', '-')}-{asked.steps}-{seed}"
            cpu = trained(asked, [*settings, f"run.seed={seed}"], run)
            rows.append({"seed": seed, "schedule": name, "cpu_s": round(cpu, 1), **accuracy(asked, run)})
            print(json.dumps(rows[-1]), flush=True)
    report = {
        "steps": asked.steps,
        "rows": rows,
        "cpu_s": {
            name: statistics.mean(float(str(row["cpu_s"])) for row in rows if row["schedule"] == name)
            for name in schedules(asked.steps)
        },
    }
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
