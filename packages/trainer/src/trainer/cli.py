"""The `trainer` command: parses, calls api, prints."""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from contracts.errors import UserError
from contracts.publish import NO_SPACE
from trainer import api

app = typer.Typer(
    name="trainer",
    help="DINOv2 pretraining on your own images. Example: trainer pretrain --data photos/ --steps 2000",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Config = Annotated[str | None, typer.Option("--config", help="Preset (cpu, small, vitl16_short, ...) or YAML file.")]
Data = Annotated[str | None, typer.Option("--data", help="Dataset folder, tars, parquet, image folder or file list.")]
Out = Annotated[Path | None, typer.Option("--out", help="Run folder (default: runs/<preset>-<hash>).")]
Steps = Annotated[int | None, typer.Option("--steps", help="Optimiser steps; schedules are scaled to them.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="One setting, section.key=value; repeatable.")]
Devices = Annotated[int, typer.Option("--devices", min=1, help="Processes that train together, one GPU each.")]
Nodes = Annotated[
    int | None, typer.Option("--nodes", min=1, help="Machines of a Ray cluster, each with --devices processes.")
]
Tune = Annotated[bool, typer.Option("--tune", help="Measure how many images at once and workers are fastest.")]
Json = Annotated[bool, typer.Option("--json", help="Print the report as JSON on stdout.")]


@app.command()
def pretrain(
    config: Config = None,
    data: Data = None,
    out: Out = None,
    steps: Steps = None,
    settings: Set = None,
    devices: Devices = 1,
    nodes: Nodes = None,
    tune: Tune = False,
    resume: Annotated[
        bool | None,
        typer.Option("--resume/--no-resume", help="Insist on going on, or on a new run (default: whichever fits)."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
    as_json: Json = False,
) -> None:
    """Pretrain a ViT with DINOv2; the same command again goes on where a run was stopped.

    Example: trainer pretrain --data photos/ --config cpu --steps 500 --set optim.lr=5e-4
    """
    if dry_run:
        plan(config, data, out, steps, settings, devices * (nodes or 1), tune, as_json=as_json)
        return
    report = api.pretrain(
        config,
        data=data,
        out=out,
        steps=steps,
        overrides=settings or (),
        devices=devices,
        nodes=nodes,
        tune=tune,
        resume=resume,
        say=_say,
    )
    show_run(report, as_json)
    _say(_sentence(report))
    if report.get("stopped_by"):
        raise typer.Exit(128 + int(report["stopped_by"]))


@app.command()
def plan(
    config: Config = None,
    data: Data = None,
    out: Out = None,
    steps: Steps = None,
    settings: Set = None,
    devices: Devices = 1,
    tune: Tune = False,
    measure: Annotated[
        bool, typer.Option("--measure", help="Take a few steps and say how long the run takes.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what `trainer pretrain` would do: steps, learning rate, tokens, parameters, memory, time.

    Example: trainer plan --config vitl14 --data photos/ --measure
    """
    asked: dict[str, Any] = {"data": data, "out": out, "steps": steps, "overrides": settings or (), "devices": devices}
    planned = api.plan(config, **asked, tune=tune, measure=measure, say=_say)
    show_plan(planned.out, planned.values(), as_json)


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="Run, model folder, Hugging Face folder or hub id.")],
    data: Annotated[
        str, typer.Option("--data", help="Labelled images (folders, list, parquet, ...); images/ and masks/.")
    ],
    test: Annotated[str | None, typer.Option("--test", help="Labelled test images (default: half of --data).")] = None,
    task: Annotated[
        list[str] | None, typer.Option("--task", help="knn, linear, retrieval or segmentation; repeatable.")
    ] = None,
    image_px: Annotated[int | None, typer.Option("--image-px", help="Image side (default: the model's own).")] = None,
    max_images: Annotated[
        int | None, typer.Option("--max-images", min=1, help="At most so many images of each set.")
    ] = None,
    baselines: Annotated[
        bool, typer.Option("--baselines/--no-baselines", help="Also raw pixels and random weights.")
    ] = True,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    as_json: Json = False,
) -> None:
    """Measure a model's features on labelled images, beside raw pixels and random weights.

    Example: trainer evaluate runs/my-run --data probe/train --test probe/test --task knn --task linear
    """
    asked: dict[str, Any] = {"image_px": image_px, "max_images": max_images, "baselines": baselines, "device": device}
    asked["progress"] = _is_first()
    report = api.evaluate(model, data, test=test, tasks=task or ("knn",), **asked)
    if as_json:
        print_json(report)
    else:
        images, side = report["images"], report["image_px"]
        title = f"{images['train']:,} training and {images['test']:,} test images of {side} px"
        show_rows(title, **report["table"])


@app.command("import")
def import_model(
    source: Annotated[str, typer.Argument(help="Checkpoint file (.pth, .safetensors), folder, hub id (also timm's).")],
    out: Annotated[Path, typer.Option("--out", help="Model folder to write.")],
    image_px: Annotated[int | None, typer.Option("--image-px", help="Resize positions to this image side.")] = None,
    num_heads: Annotated[int | None, typer.Option("--num-heads", help="Attention heads of an unusual model.")] = None,
    as_json: Json = False,
) -> None:
    """Turn a checkpoint (official DINOv2, Hugging Face, timm) into a model folder.

    Example: trainer import dinov2_vits14_reg4_pretrain.pth --out models/vits14 --image-px 224
    """
    report = api.import_model(source, out, image_px=image_px, num_heads=num_heads)
    if as_json:
        print_json(report)
    _say(f"{report['name']} for {report['image_px']} px, {report['heads'] or 'no heads'}: {out}")


@app.command()
def export(
    model: Annotated[str, typer.Argument(help="Run, model folder, Hugging Face folder or hub id.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write.")],
    format_name: Annotated[str, typer.Option("--format", help="hf, official, timm or onnx.")] = "hf",
    as_json: Json = False,
) -> None:
    """Write a model in the layout of another project.

    Example: trainer export runs/my-run --format timm --out models/for-timm
    """
    report = api.export(model, format_name, out)
    if as_json:
        print_json(report)
    _say(f"{', '.join(report['files'])} in {out}")


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="Run folder, of a run that is finished or goes on still.")],
    out: Annotated[Path | None, typer.Option("--out", help="HTML file to write (default: RUN/report.html).")] = None,
    as_json: Json = False,
) -> None:
    """Show a run as one HTML page: losses, accuracies, health, pictures over time, settings, warnings.

    Example: trainer report runs/my-run
    """
    report = api.report(run, out)
    if as_json:
        print_json(report)
    _say(f"{report['report']}: step {report['step']} of {report['steps']}, {report['bytes'] / 2**20:.1f} MiB")


Address = Annotated[
    str | None, typer.Option("--address", help="Ray's job service, http://HOST:8265 (default: RAY_ADDRESS, or here).")
]
Job = Annotated[str, typer.Argument(help="Name that `trainer submit` printed.")]


@app.command()
def submit(
    out: Annotated[Path, typer.Option("--out", help="Run folder that the cluster's machines see.")],
    config: Config = None,
    data: Data = None,
    steps: Steps = None,
    settings: Set = None,
    devices: Devices = 1,
    nodes: Nodes = None,
    gpus: Annotated[float, typer.Option("--gpus", min=0, help="GPUs that the job reserves.")] = 0.0,
    cpus: Annotated[float, typer.Option("--cpus", min=0, help="CPUs that the job reserves.")] = 0.0,
    name: Annotated[str | None, typer.Option("--name", help="Name of the job (default: Ray makes one).")] = None,
    address: Address = None,
    as_json: Json = False,
) -> None:
    """Hand a pretraining run to a Ray cluster; the same again goes on with a run that was stopped.

    Example: trainer submit --address http://head:8265 --data /shared/set --out /shared/run --gpus 8 --devices 8
    """
    options = {"--data": data, "--steps": steps, "--devices": devices, "--nodes": nodes}
    words = [word for option, value in options.items() if value is not None for word in (option, str(value))]
    words += [word for setting in settings or () for word in ("--set", setting)]
    if nodes is not None and gpus:
        raise UserError("with --nodes every process reserves a GPU of its own: leave --gpus out")
    job = api.submit(config, out=out, words=words, cpus=cpus, gpus=gpus, name=name, address=address)
    if as_json:
        print_json({"job": job, "run": str(out)})
    _say(f"{job} is handed in: trainer logs {job} --follow, trainer stop {job}")


@app.command()
def status(
    job: Annotated[str | None, typer.Argument(help="One job (default: all that `trainer submit` handed in).")] = None,
    address: Address = None,
    as_json: Json = False,
) -> None:
    """Show how runs on a Ray cluster stand.

    Example: trainer status --address http://head:8265
    """
    jobs = api.job_status(job, address)
    if as_json:
        print_json(jobs)
    else:
        header = ["job", "status", "run", "step", "steps", "message"]
        rows = [["" if info[name] is None else str(info[name]) for name in header] for info in jobs]
        show_rows("runs on the cluster", header, rows)


@app.command()
def logs(
    job: Job,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until the job ends.")] = False,
    address: Address = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object per piece of text, one a line.")] = False,
) -> None:
    """Print what a run on a Ray cluster has said.

    Example: trainer logs raysubmit_ab12 --follow
    """

    def write(text: str) -> None:
        sys.stdout.write(json.dumps({"job": job, "text": text}) + "\n" if as_json else text)
        sys.stdout.flush()

    api.job_logs(job, write, follow=follow, address=address)


@app.command()
def stop(job: Job, address: Address = None, as_json: Json = False) -> None:
    """Stop a run on a Ray cluster: it ends its step, writes a checkpoint and exits.

    Example: trainer stop raysubmit_ab12
    """
    stopping = api.stop_job(job, address)
    if as_json:
        print_json({"job": job, "stopping": stopping})
    _say(f"{job} is stopping, with a checkpoint: see trainer status {job}" if stopping else f"{job} had ended before")


def show_rows(title: str, header: list[str], rows: list[list[str]]) -> None:
    """A table with named columns on stdout; numbers are right-aligned."""
    table = Table(title=title)
    for name in header:
        table.add_column(name, justify="right" if name else "left")
    for row in rows:
        table.add_row(*row)
    Console().print(table, markup=False)


def show_run(report: dict[str, Any], as_json: bool) -> None:
    """The report of a run, as JSON or, once it is finished, as a table."""
    from trainer.run_summary import run_summary

    if as_json:
        print_json(report)
    elif not report.get("stopped_by") and _is_first():
        print_table("the run is finished", run_summary(report))


def print_json(report: Any) -> None:
    """The report of a command, alone on stdout."""
    if _is_first():
        sys.stdout.write(json.dumps(report, indent=2, default=str) + "\n")


def print_table(title: str, rows: dict[str, Any]) -> None:
    """Names and values as a table on stdout; what is nested gets a line for each of its values."""
    table = Table(title=title, show_header=False)
    for name, value in rows.items():
        table.add_row(name, _shown(value))
    Console().print(table, markup=False)


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{name.replace('_', ' ')}: {_shown(inner)}" for name, inner in value.items())
    if isinstance(value, list | tuple):
        return "\n".join(_shown(inner) for inner in value) or "none"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str("none" if value is None else value)


def run(application: typer.Typer, arguments: list[str] | None = None) -> int:
    """Run a command line and return its exit code: 0 done, 2 the user can mend it (one sentence), 1 our bug.

    OpenMP threads that wait sleep instead of spinning, unless the environment says otherwise: on a few cores that are
    shared with loader processes, spinning costs several times the work. PyTorch reads this when it is loaded.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        code = application(args=arguments, standalone_mode=False)
        return code if isinstance(code, int) else 0
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except BrokenPipeError:  # who read has seen enough
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123
        return 1
    except UserError as error:
        sys.stderr.write(f"{application.info.name}: {error}\n")
        return 2
    except OSError as error:
        if error.errno not in NO_SPACE:
            traceback.print_exc()
            return 1
        sys.stderr.write(f"{application.info.name}: the disk is full: free some space and run the same command again\n")
        return 2
    except Exception as error:
        if isinstance(error, USAGE_ERROR):
            return _misused(error)
        traceback.print_exc()
        return 1


USAGE_ERROR: type[Exception] = typer.BadParameter.__bases__[0]
"""What a wrong command line raises: click's class, which typer carries under a private name."""


def _misused(error: Any) -> int:
    """Say in one sentence what is wrong with a command line; without any word it is the help that was wanted."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return 2
    command = error.ctx.command_path if error.ctx is not None else ""
    tool, said = command.partition(" ")[0], error.format_message().rstrip(".").replace(". Did you", ", did you")
    sys.stderr.write(f"{tool}: {said[:1].lower()}{said[1:]} (see `{command} --help`)\n")
    return 2


def main() -> None:
    """Entry point of the console script."""
    raise SystemExit(run(app))


def show_plan(out: Path, values: dict[str, Any], as_json: bool) -> None:
    """A plan as JSON or as a table."""
    if as_json:
        print_json({"out": str(out), **values})
    else:
        print_table("what will run", {"out": out, **{name.replace("_", " "): value for name, value in values.items()}})


def _sentence(report: dict[str, Any]) -> str:
    if report.get("already_finished"):
        return f"the run in {report['run']} is finished: its model is in {report['run']}/export"
    if report.get("stopped_by"):
        return f"stopped after step {report['step']} of {report['steps']}: the same command goes on from there"
    knn = [f"{p['knn_accuracy']:.3f} after step {p['step']}" for p in report["probes"] if "knn_accuracy" in p]
    learned = f", k-NN accuracy {knn[0]}, {knn[-1]}" if len(knn) > 1 else ""
    return f"{report['steps']} steps in {report['seconds']:.0f} s{learned}; the model is in {report['run']}/export"


def _say(text: str) -> None:
    if _is_first():
        sys.stderr.write(text + "\n")


def _is_first() -> bool:
    """Of several processes that torchrun launched, one speaks."""
    return os.environ.get("RANK", "0") == "0"
