"""The `distill` command: parses, calls api, prints."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from distill import api
from trainer.cli import print_json, show_plan, show_rows, show_run
from trainer.cli import run as run_application

app = typer.Typer(
    name="distill",
    help="Small ViTs from a frozen teacher. Example: distill run --student vits14 --teacher runs/my-run",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Student = Annotated[
    list[str] | None, typer.Option("--student", help="Architecture of a student, such as vits14; repeatable.")
]
TeacherOption = Annotated[
    str | None,
    typer.Option("--teacher", help="Run, model folder, Hugging Face folder or hub id (default: newest run in ./runs)."),
]
Data = Annotated[str | None, typer.Option("--data", help="Dataset folder, tars, parquet, image folder or file list.")]
Config = Annotated[str | None, typer.Option("--config", help="Preset (cpu, small, paper) or YAML file.")]
Out = Annotated[Path | None, typer.Option("--out", help="Run folder (default: runs/distill-<students>-<hash>).")]
Steps = Annotated[int | None, typer.Option("--steps", help="Optimiser steps; schedules are scaled to them.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="One setting, section.key=value; repeatable.")]
Test = Annotated[str | None, typer.Option("--test", help="Labelled test images (default: half of --data).")]
Scratch = Annotated[
    list[str] | None, typer.Option("--scratch", help="A model of a student's size that had no teacher; repeatable.")
]
Task = Annotated[
    list[str] | None, typer.Option("--task", help="knn, linear or retrieval; repeatable (default: knn and linear).")
]
ImagePx = Annotated[int | None, typer.Option("--image-px", help="Image side (default: each model's own).")]
MaxImages = Annotated[int | None, typer.Option("--max-images", help="At most so many images of each set.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")]
Json = Annotated[bool, typer.Option("--json", help="Print the report as JSON on stdout.")]


@app.command()
def run(
    student: Student = None,
    teacher: TeacherOption = None,
    data: Data = None,
    config: Config = None,
    out: Out = None,
    steps: Steps = None,
    settings: Set = None,
    devices: Annotated[int, typer.Option("--devices", min=1, help="Processes that train together, one GPU each.")] = 1,
    ibot_tokens: Annotated[
        str | None, typer.Option("--ibot-tokens", help="Patches of the patch loss: all, or subset as in DINOv3.")
    ] = None,
    local_crops: Annotated[
        int | None, typer.Option("--local-crops", help="Local crops per image; 0: global crops only.")
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            "--resume", help="auto: go on where the run stands; yes: insist on that; no: insist on a new run."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
    as_json: Json = False,
) -> None:
    """Distil one or several students from a teacher; the same command again goes on where a run was stopped.

    Example: distill run --student vits14 --student vitb14 --teacher runs/my-run --steps 5000
    """
    overrides = list(settings or ())
    if ibot_tokens is not None:
        overrides.append(f"objective.ibot_tokens={ibot_tokens}")
    if local_crops is not None:
        overrides.append(f"crops.local_crops={local_crops}")
    asked: dict[str, Any] = {
        "teacher": teacher,
        "data": data,
        "config": config,
        "out": out,
        "steps": steps,
        "overrides": overrides,
        "devices": devices,
        "say": _say,
    }
    if dry_run:
        planned = api.plan(student or (), **asked)
        show_plan(planned.out, planned.plan.values(), as_json)
        return
    report = api.run(student or (), resume=_resume(resume), **asked)
    show_run(report, as_json)
    _say(_sentence(report))
    if report.get("stopped_by"):
        raise typer.Exit(128 + int(report["stopped_by"]))


@app.command()
def evaluate(
    students: Annotated[list[str], typer.Argument(help="Distillation runs or model folders.")],
    data: Annotated[str, typer.Option("--data", help="Labelled images: class folders, labelled list, parquet, ...")],
    test: Test = None,
    teacher: Annotated[str | None, typer.Option("--teacher", help="Teacher (default: the run's own).")] = None,
    scratch: Scratch = None,
    task: Task = None,
    image_px: ImagePx = None,
    max_images: MaxImages = None,
    baselines: Annotated[
        bool, typer.Option("--baselines/--no-baselines", help="Also raw pixels and random weights.")
    ] = True,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Compare teacher, students and baselines on labelled images.

    "CKA" is whether the same test images are alike for a model and for the teacher (1: all, 0: none); "cosine" is how
    well the best linear map of a model's class token tells the teacher's: compare it with that of random weights.

    Example: distill evaluate runs/distill-vits14-1a2b3c4d --data probe/train --test probe/test
    """
    asked: dict[str, Any] = {"image_px": image_px, "max_images": max_images, "baselines": baselines, "device": device}
    asked |= {"scratch": scratch or (), "tasks": task or ("knn", "linear"), "progress": True}
    report = api.evaluate(students, data, test=test, teacher=teacher, **asked)
    if as_json:
        print_json(report)
        return
    images = report["images"]
    show_rows(f"{images['train']:,} training and {images['test']:,} test images", **report["table"])


@app.command()
def export(
    model: Annotated[str, typer.Argument(help="Distillation run or model folder.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write.")],
    format_name: Annotated[str, typer.Option("--format", help="hf, official, timm or onnx.")] = "hf",
    as_json: Json = False,
) -> None:
    """Write a student in the layout of another project, as `trainer export` does; several each into OUT/<name>.

    Example: distill export runs/distill-vits14-1a2b3c4d --format onnx --out models/vits14-onnx
    """
    reports = api.export(model, format_name, out)
    if as_json:
        print_json(reports)
    for report in reports:
        _say(f"{', '.join(report['files'])} in {report['out']}")


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, finished or not.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="HTML file (default: students.html in the first run).")
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", help="Labelled images to compare on (default: the first run's probe.data).")
    ] = None,
    test: Test = None,
    teacher: Annotated[str | None, typer.Option("--teacher", help="Teacher (default: the first run's own).")] = None,
    scratch: Scratch = None,
    task: Task = None,
    image_px: ImagePx = None,
    max_images: MaxImages = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Show students of one or several runs side by side as one HTML page: accuracies, likeness, sizes, curves.

    Example: distill report runs/distill-a runs/distill-b --data probe/train --test probe/test
    """
    asked: dict[str, Any] = {"data": data, "test": test, "teacher": teacher, "scratch": scratch or (), "device": device}
    asked |= {"tasks": task or ("knn", "linear"), "progress": True}
    report = api.report(runs, out, image_px=image_px, max_images=max_images, **asked)
    if as_json:
        print_json(report)
    _say(f"{report['report']}: {len(report['runs'])} runs, {report['bytes'] / 2**20:.1f} MiB")


def main() -> None:
    """Entry point of the console script."""
    raise SystemExit(run_application(app))


def _resume(text: str | None) -> bool | None:
    choices = {"auto": None, "yes": True, "no": False}
    if text is not None and text not in choices:
        raise typer.BadParameter(f"{text!r} is none of auto, yes, no", param_hint="--resume")
    return choices[text or "auto"]


def _sentence(report: dict[str, Any]) -> str:
    if report.get("already_finished"):
        return (
            f"the run in {report['run']} is finished ({report['step']} steps); its model is in {report['run']}/export"
        )
    if report.get("stopped_by"):
        return f"stopped after step {report['step']} of {report['steps']}: the same command goes on from there"
    knn = [f"{p['knn_accuracy']:.3f} after step {p['step']}" for p in report["probes"] if "knn_accuracy" in p]
    learned = f", k-NN accuracy {knn[0]}, {knn[-1]}" if len(knn) > 1 else ""
    names = ", ".join(report["students"])
    where = f"{report['run']}/export"
    return f"{names}: {report['steps']} steps in {report['seconds']:.0f} s{learned}; the model is in {where}"


def _say(text: str) -> None:
    """Of several processes that torchrun launched, one speaks."""
    if os.environ.get("RANK", "0") == "0":
        sys.stderr.write(text + "\n")
