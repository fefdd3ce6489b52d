"""Does a teacher help? A tiny student distilled, and the same student from scratch: as many steps, images and crops.

    python benchmarks/distill_proof.py TRAIN.parquet TEST.parquet [--seeds 0 1 2] [--student-steps 200] [--work FOLDER]

TRAIN and TEST are CIFAR-10. One larger teacher is pretrained on TRAIN first (preset cifar10, without its last phase at
32 px), or --teacher names such a run, which may go on still. Per seed (weights, order, crops) the student learns once
from that teacher and once alone, each with the preset cifar10 of its command: the same crops, images and steps. k-NN
accuracy on TEST is of the averaged weights at 32 px, with neighbours from TRAIN. No label is used in training. What is
finished in --work is not done again, and what was cut off goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

import distill.api
import trainer.api
from contracts.config import load_config
from trainer.config.pretrain import PretrainConfig
from trainer.engine.checkpoint import load_tensors, newest_checkpoint
from trainer.export.model_folder import ModelDescription, export_model, load_model
from trainer.methods.dinov2 import DinoV2
from trainer.recipe import method_settings

K = "20"
"""Neighbours that vote."""
PROBE_PX = 32
"""Side of the images that are compared: a CIFAR-10 picture whole."""


def say(text: str) -> None:
    """One line on stdout, at once."""
    print(text, flush=True)


def cpu_seconds() -> float:
    """CPU seconds of this process and of the loader processes that it has ended."""
    return sum(os.times()[:4])


def same_for_both(asked: argparse.Namespace, seed: int) -> list[str]:
    """Settings that the distilled student and the one from scratch share."""
    return [
        f"run.seed={seed}",
        f"run.batch_size={asked.batch}",
        "run.checkpoint_every_steps=100",
        "probe.data=null",
        f"data.workers={asked.workers}",
    ]


def pretrained(asked: argparse.Namespace, arch: str, steps: int, seed: int, out: Path) -> str:
    """A model that learned without a teacher; the run's folder."""
    settings = [*same_for_both(asked, seed), f"model.arch={arch}", "high_resolution=null", *asked.pretrain_set]
    trainer.api.pretrain("cifar10", data=asked.train, out=out, steps=steps, overrides=settings)
    return str(out)


def distilled(asked: argparse.Namespace, teacher: str, seed: int, out: Path) -> str:
    """A student of the teacher; the run's folder."""
    settings = [*same_for_both(asked, seed), *asked.distill_set]
    asked_for: dict[str, Any] = {"teacher": teacher, "data": asked.train, "steps": asked.student_steps}
    distill.api.run([asked.student], config="cifar10", out=out, overrides=settings, **asked_for)
    return str(out)


def named_teacher(name: str, work: Path) -> str:
    """A run or model folder; of a run that goes on still, the average of its newest checkpoint as it is now, kept."""
    run, kept = Path(name), work / "teacher-so-far"
    checkpoint, _ = newest_checkpoint(run / "checkpoints")
    if (run / "export").exists() or (checkpoint is None and not kept.exists()):
        return name
    if not kept.exists():
        assert checkpoint is not None
        config = load_config(PretrainConfig, run / "config.yaml", [])
        method = DinoV2(method_settings(config))
        load_tensors(checkpoint, {"method": method.state_dict()})
        said = ModelDescription(
            config.model.arch, "dinov2", checkpoint.step, mean=config.crops.mean, std=config.crops.std
        )
        export_model(method.result(), said, kept)
    return str(kept)


def one_seed(asked: argparse.Namespace, teacher: str, seed: int, work: Path) -> dict[str, Any]:
    """Train both students and measure them beside teacher, random weights and raw pixels, as shares of TEST."""
    began = cpu_seconds()
    alone = pretrained(asked, asked.student, asked.student_steps, seed, work / f"scratch-{seed}")
    taught = distilled(asked, teacher, seed, work / f"distilled-{seed}")
    settings: dict[str, Any] = {
        "test": asked.test,
        "scratch": [alone],
        "tasks": ["knn"],
        "image_px": PROBE_PX,
        "max_images": asked.max_images,
    }
    report = distill.api.evaluate([taught], asked.train, teacher=teacher, device="cpu", **settings)
    shown = {name.split()[0] if name != "raw pixels" else name: row for name, row in report["results"].items()}
    accuracy = {name: row["knn"][K]["top1"] for name, row in shown.items()}
    found: dict[str, Any] = {"seed": seed, "accuracy": accuracy}
    for measure in ("cka_to_teacher", "cosine_to_teacher"):
        found[measure] = {name: row[measure] for name, row in shown.items() if measure in row}
    say(f"seed {seed}: {', '.join(f'{name} {100 * share:.1f} %' for name, share in accuracy.items())}")
    return {**found, "images": report["images"], "cpu_seconds": round(cpu_seconds() - began, 1)}


def table(runs: Sequence[dict[str, Any]]) -> str:
    """Markdown: k-NN accuracy, one line per seed, then mean and standard deviation."""
    names = ["raw pixels", "random", "scratch", "student", "teacher"]
    lines = [f"| seed | {' | '.join(names)} | gain |", "|---" * (len(names) + 2) + "|"]
    columns = [[100 * run["accuracy"][name] for run in runs] for name in names]
    columns.append([taught - alone for alone, taught in zip(columns[2], columns[3], strict=True)])
    for run, numbers in zip(runs, zip(*columns, strict=True), strict=True):
        lines.append(f"| {run['seed']} | {' | '.join(f'{number:.1f}' for number in numbers)} |")
    spread = [f"{statistics.mean(c):.1f} ± {statistics.stdev(c) if len(c) > 1 else 0:.1f}" for c in columns]
    return "\n".join([*lines, f"| mean | {' | '.join(spread)} |"])


def arguments() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", help="labelled training images, such as cifar10-train.parquet")
    parser.add_argument("test", help="labelled test images, such as cifar10-test.parquet")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--teacher", help="a run or model folder; without it one is pretrained")
    parser.add_argument("--teacher-arch", default="vitn4")
    parser.add_argument("--teacher-steps", type=int, default=1500)
    parser.add_argument("--student", default="vitp4")
    parser.add_argument("--student-steps", type=int, default=200)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument(
        "--workers", type=int, default=0, help="processes that make crops; 0 is one core for everything"
    )
    parser.add_argument("--max-images", type=int, default=5000, help="of TRAIN and of TEST, for k-NN")
    parser.add_argument("--pretrain-set", nargs="*", default=[], metavar="A.B=C", help="settings of both pretrainings")
    parser.add_argument("--distill-set", nargs="*", default=[], metavar="A.B=C", help="settings of the distillation")
    parser.add_argument("--work", type=Path, help="folder for the runs (default: a temporary one)")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "distill_proof.json")
    return parser.parse_args()


def main() -> None:
    """Train everything, print the table, write JSON."""
    asked = arguments()
    with tempfile.TemporaryDirectory() as place:
        work = asked.work or Path(place)
        began = cpu_seconds()
        if asked.teacher:
            teacher = named_teacher(asked.teacher, work)
        else:
            say(f"teacher: {asked.teacher_arch}, {asked.teacher_steps} steps of {asked.batch} images")
            teacher = pretrained(asked, asked.teacher_arch, asked.teacher_steps, 0, work / "teacher")
        teacher_seconds = cpu_seconds() - began
        steps = load_model(teacher).description.step
        say(f"students: {asked.student}, {asked.student_steps} steps of {asked.batch} images, with and without teacher")
        runs = [one_seed(asked, teacher, seed, work) for seed in asked.seeds]
    print(table(runs))
    report = {
        "what": "k-NN accuracy (20 neighbours) of a student distilled and of the same student from scratch",
        "settings": {
            name: value
            for name, value in vars(asked).items()
            if name not in ("out", "work", "train", "test", "teacher")
        },
        "data": [Path(asked.train).name, Path(asked.test).name],
        "teacher_steps": steps,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "teacher_cpu_seconds": round(teacher_seconds, 1),
        "runs": runs,
    }
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
