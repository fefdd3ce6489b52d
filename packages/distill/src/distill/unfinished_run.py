"""A distillation that goes on, or was stopped: what its newest checkpoint has learned, as the run's model folders."""

from __future__ import annotations

from pathlib import Path

import torch

from contracts.config import read_yaml, validate_config
from contracts.model_folder import is_model_folder, read_model_folder
from distill.config import DistillConfig
from distill.distillation import student_folders
from distill.recipe import build_method
from distill.students.several import Several
from distill.teachers.newest_run import DISTILLED
from distill.teachers.teacher import Teacher
from trainer import unfinished_run
from trainer.engine.checkpoint import Checkpoint, load_tensors, newest_checkpoint
from trainer.engine.run_folder import RunFolder
from trainer.export.model_folder import ModelDescription, export_model, load_model


def export_newest_checkpoint(spec: str) -> int | None:
    """Publish RUN/export from the newest checkpoint of an unfinished run of `distill run` or `trainer pretrain`, unless
    an export of that step or a later one is there.

    Returns the step that was exported; None for all that is no such run, or has no checkpoint yet.
    Errors: those of load_model for the run's teacher.
    """
    run = RunFolder(Path(spec))
    if not run.config.is_file() or run.header.is_file():
        return None
    values = read_yaml(run.config)
    if "students" not in values:
        return unfinished_run.export_newest_checkpoint(spec)
    found, _ = newest_checkpoint(run.checkpoints)
    if found is None:
        return None
    config = validate_config(DistillConfig, values, where=str(run.config))
    folders = student_folders(config, run.export)
    if all(_is_exported(found, folder) for folder in folders.values()):
        return None
    _export(config, found, folders)
    return found.step


def _is_exported(checkpoint: Checkpoint, folder: Path) -> bool:
    if not is_model_folder(folder):
        return False
    return int(read_model_folder(folder).provenance.get("step", -1)) >= checkpoint.step


def _export(config: DistillConfig, checkpoint: Checkpoint, folders: dict[str, Path]) -> None:
    model = load_model(config.teacher.model)
    method = build_method(config, Teacher(model.backbone, model.heads, torch.device("cpu"), "fp32"))
    averages = {name: value for name, value in method.state_dict().items() if name.startswith("average.")}
    load_tensors(checkpoint, {"method": averages})
    several = Several(config.students.archs)
    for name, folder in folders.items():
        description = ModelDescription(
            name=name,
            method=DISTILLED,
            step=checkpoint.step,
            config_sha256=str(checkpoint.fields["config_sha256"]),
            mean=config.crops.mean,
            std=config.crops.std,
            origin={
                "teacher": model.description.name,
                "objective": config.objective.kind,
                "checkpoint": checkpoint.path.name,
            },
        )
        export_model(several.of(method.result(), name), description, folder)
