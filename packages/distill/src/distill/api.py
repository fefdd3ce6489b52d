"""The public functions of distill: one per command, with plain arguments and plain results.

PyTorch is loaded by the function that needs it, so that `distill --help` answers at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distill.distillation import PlannedDistillation
    from trainer.evaluate.evaluate_model import EvaluationRequest

Say = Callable[[str], None]


def plan(
    students: Sequence[str] = (),
    *,
    teacher: str | None = None,
    data: str | None = None,
    config: str | None = None,
    out: Path | None = None,
    steps: int | None = None,
    overrides: Sequence[str] = (),
    devices: int = 1,
    say: Say = lambda _: None,
) -> PlannedDistillation:
    """Work out a distillation run without starting it.

    students: architectures such as vits14. teacher: run, model folder, Hugging Face folder or hub id; None takes the
    newest pretrained run under ./runs. config: preset or YAML file; None takes `small` with a GPU and `cpu` without.
    data, steps: short for the overrides data.path=... and run.steps=...
    devices: processes that train together, one GPU each; torchrun's count where it launched this one.
    Errors: UserError in one sentence.
    """
    from distill.distillation import plan_distillation
    from distill.read_config import complete_config, read_values
    from distill.teachers.newest_run import newest_teacher
    from trainer.dataset_at_hand import ensure_dataset
    from trainer.engine.ranks import launched_ranks
    from trainer.export.model_folder import load_model
    from trainer.pretrain import DEFAULT_RUNS

    name = config or default_preset()
    values = read_values(name, overrides)
    asked: dict[str, dict[str, Any]] = {
        "students": {"archs": list(students)} if students else {},
        "teacher": {"model": teacher} if teacher is not None else {},
        "data": {"path": data} if data is not None else {},
        "run": {"steps": steps} if steps is not None else {},
    }
    for part, fields in asked.items():
        if fields:
            values[part] = {**(values.get(part) or {}), **fields}
    section = values["teacher"] = dict(values.get("teacher") or {})
    if not section.get("model"):
        section["model"] = str(newest_teacher(DEFAULT_RUNS))
        say(f"teacher: {section['model']}, the newest pretrained run")
    model = load_model(section["model"])
    settings = complete_config(values, model, where=f"{name} with the options of the command")
    ensure_dataset(settings.data.path, say)
    return plan_distillation(settings, model, out, max(devices, launched_ranks()))


def run(
    students: Sequence[str] = (),
    *,
    teacher: str | None = None,
    data: str | None = None,
    config: str | None = None,
    out: Path | None = None,
    steps: int | None = None,
    overrides: Sequence[str] = (),
    devices: int = 1,
    resume: bool | None = None,
    say: Say = lambda _: None,
) -> dict[str, Any]:
    """Distil students from a teacher, or go on with a run that was interrupted; returns the run's report.

    resume: None goes on when the folder holds the same run; True insists on one; False refuses one.
    Errors: UserError in one sentence.
    """
    from distill.distillation import run_distillation
    from trainer.engine.ranks import launched_ranks, start_ranks
    from trainer.engine.run_folder import open_run

    asked: dict[str, Any] = {
        "teacher": teacher,
        "data": data,
        "config": config,
        "steps": steps,
        "overrides": list(overrides),
    }
    planned = plan(students, **asked, out=out, devices=devices, say=say)
    for note in planned.plan.notes:
        say(f"note: {note}")
    if devices == 1 or launched_ranks() > 1:
        return run_distillation(planned, resume=resume)
    open_run(planned.out, planned.identity, resume=resume)
    asked |= {"students": list(students), "teacher": planned.config.teacher.model, "out": planned.out}
    report: dict[str, Any] = start_ranks(devices, run, asked)
    return report


def evaluate(
    students: Sequence[str],
    data: str,
    *,
    test: str | None = None,
    teacher: str | None = None,
    scratch: Sequence[str] = (),
    tasks: Sequence[str] = ("knn", "linear"),
    image_px: int | None = None,
    max_images: int | None = None,
    baselines: bool = True,
    device: str = "auto",
    progress: bool = False,
) -> dict[str, Any]:
    """Teacher, students, random weights and a model from scratch side by side; the report holds a table.

    students: distillation runs or model folders. A run that goes on, or was stopped, is exported as its newest
    checkpoint has it. teacher: None takes what the first run's configuration names.
    scratch: models of the students' sizes that were pretrained without a teacher.
    image_px: side of the images; None takes each model's own.
    Errors: UserError in one sentence.
    """
    from distill.side_by_side import ComparisonRequest, compare
    from distill.unfinished_run import export_newest_checkpoint

    for spec in (*students, *scratch, *([teacher] if teacher else [])):
        export_newest_checkpoint(spec)
    asked: dict[str, Any] = {"test": test, "tasks": tasks, "image_px": image_px, "max_images": max_images}
    asked["baselines"] = baselines
    return compare(ComparisonRequest(students, teacher, scratch, _evaluation(data, device, progress=progress, **asked)))


def export(model: str, format_name: str, out: Path) -> list[dict[str, Any]]:
    """Write a student in a named format (hf, official, timm, onnx); several students each into a folder of their own.

    Errors: UserError in one sentence.
    """
    from distill.side_by_side import model_folders
    from distill.unfinished_run import export_newest_checkpoint
    from trainer.api import export as export_model

    export_newest_checkpoint(model)
    folders = model_folders(model)
    if len(folders) == 1:
        return [export_model(folders[0], format_name, out)]
    return [export_model(folder, format_name, out / Path(folder).name) for folder in folders]


def report(
    runs: Sequence[Path],
    out: Path | None = None,
    *,
    data: str | None = None,
    test: str | None = None,
    teacher: str | None = None,
    scratch: Sequence[str] = (),
    tasks: Sequence[str] = ("knn", "linear"),
    image_px: int | None = None,
    max_images: int | None = None,
    device: str = "auto",
    progress: bool = False,
) -> dict[str, Any]:
    """Students of one or several runs side by side as one HTML page; returns what it holds.

    out: None writes students.html into the first run. data: labelled images to compare the models on; None takes those
    that the first run was probed on, and compares by curves alone where there are none.
    Errors: UserError in one sentence.
    """
    from distill.report.write_report import ReportRequest, write_report
    from distill.side_by_side import ComparisonRequest

    asked: dict[str, Any] = {"test": test, "tasks": tasks, "image_px": image_px, "max_images": max_images}
    evaluation = _evaluation(data or "", device, progress=progress, **asked)
    return write_report(ReportRequest(runs, out, ComparisonRequest((), teacher, scratch, evaluation)))


def _evaluation(data: str, device: str, *, progress: bool, **asked: Any) -> EvaluationRequest:
    """What the models that are compared are measured on; which models is for the comparison to say."""
    from trainer.engine.device import choose_device
    from trainer.evaluate.evaluate_model import EvaluationRequest
    from trainer.evaluate.watch import unwatched, watched

    watch = watched if progress else unwatched
    return EvaluationRequest(model="", data=data, device=str(choose_device(device)), watch=watch, **asked)


def default_preset() -> str:
    """`small` with a GPU, `cpu` without one."""
    import torch

    return "small" if torch.cuda.is_available() else "cpu"
