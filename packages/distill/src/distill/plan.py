"""The plan of a distillation run: what will run, worked out before anything is trained."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch

from distill.config import DistillConfig, PrototypeObjective
from distill.recipe import check_teacher, student_backbones
from distill.students.rank_groups import check_groups
from distill.teachers.teacher import native_grid, teacher_fingerprint
from trainer.data.sources.source import ImageSource
from trainer.engine.device import choose_device, choose_precision
from trainer.engine.ranks import ranks_of_this_machine
from trainer.export.model_folder import LoadedModel
from trainer.layers.attention_backends import check_backend
from trainer.models.sizes import parse_arch
from trainer.models.vision_transformer import VisionTransformer
from trainer.plan import check_ranks, choose_workers
from trainer.recipe import schedule_settings


@dataclass(frozen=True)
class TeacherPlan:
    """The teacher: where it lies, sha256 of its weights, side of the global crops it sees (px), parameters,
    and the steps that learn heads for it first."""

    folder: str
    fingerprint: str
    precision: str
    global_px: int
    parameters: int
    head_steps: int


@dataclass(frozen=True)
class DistillPlan:
    """What will run. Units: lengths in optimiser steps, sides in px."""

    device: str
    precision: str
    objective: str
    steps: int
    images_per_step: int
    ranks: int
    images_per_rank: int
    micro_batches: int
    images_seen: int
    epochs: float
    data: dict[str, Any]
    teacher: TeacherPlan
    students: dict[str, dict[str, int]]
    patch_grid: int
    workers: int
    peak_lr: float
    schedules: dict[str, Any]
    notes: tuple[str, ...]

    def values(self) -> dict[str, Any]:
        """As nested plain values, for plan.yaml and JSON."""
        return {**asdict(self), "notes": list(self.notes)}


def make_plan(config: DistillConfig, source: ImageSource, teacher: LoadedModel, ranks: int = 1) -> DistillPlan:
    """Work out what a run will do; students are counted on torch's meta device.

    Errors: ConfigError when the batch cannot be cut, or teacher or groups of ranks do not fit.
    """
    device = choose_device(config.run.device)
    precision = choose_precision(config.run.precision, device)
    check_backend(config.students.attention, device.type, precision)
    fitted = schedule_settings(config)
    batch = config.run.batch_size
    check_ranks(config.run, device, ranks)
    check_teacher(config, teacher)
    micro = _micro_batch(config, ranks)
    fingerprint = teacher_fingerprint(teacher)
    schedules = {name: value for name, value in asdict(fitted.settings).items() if name not in ("steps", "lr")}
    grid = config.crops.global_px // parse_arch(config.students.archs[0]).patch_size
    return DistillPlan(
        device=str(device),
        precision=precision,
        objective=config.objective.kind,
        steps=config.run.steps,
        images_per_step=batch,
        ranks=ranks,
        images_per_rank=batch // ranks,
        micro_batches=batch // (micro * ranks),
        images_seen=batch * config.run.steps,
        epochs=round(batch * config.run.steps / len(source), 2),
        data={
            "source": source.describe(),
            "images": len(source),
            "fingerprint": source.fingerprint,
            "teacher": fingerprint,
        },
        teacher=TeacherPlan(
            folder=str(teacher.folder),
            fingerprint=fingerprint,
            precision=choose_precision(config.teacher.precision, device),
            global_px=(config.teacher.grid or grid) * teacher.backbone.patch_size,
            parameters=sum(p.numel() for p in teacher.backbone.parameters()),
            head_steps=_head_steps(config, teacher),
        ),
        students=_students(config),
        patch_grid=grid,
        workers=choose_workers(config.data.workers, device, ranks_of_this_machine(ranks)),
        peak_lr=fitted.settings.lr,
        schedules=schedules,
        notes=(*fitted.notes, *_notes(config, source, teacher)),
    )


def _micro_batch(config: DistillConfig, ranks: int) -> int:
    """Images of one forward pass on one rank."""
    micro = config.run.micro_batch_size or config.run.batch_size // ranks
    check_groups(config.students.ranks, config.students.archs, ranks, micro)
    return micro


def _head_steps(config: DistillConfig, teacher: LoadedModel) -> int:
    """Steps that learn new heads first: none when the teacher has heads or none are needed."""
    wanted = isinstance(config.objective, PrototypeObjective) and not teacher.heads
    return config.teacher.head_steps if wanted else 0


def _students(config: DistillConfig) -> dict[str, dict[str, int]]:
    found = {}
    for name, settings in student_backbones(config).items():
        with torch.device("meta"):
            parameters = sum(p.numel() for p in VisionTransformer(settings).parameters())
        found[name] = {"parameters": parameters, "global_px": settings.image_size}
    return found


def _notes(config: DistillConfig, source: ImageSource, teacher: LoadedModel) -> list[str]:
    notes = []
    if len(source) < config.run.batch_size:
        notes.append(
            f"the {len(source)} images are fewer than a batch of {config.run.batch_size}: images repeat inside a batch"
        )
    grid = config.teacher.grid or config.crops.global_px // parse_arch(config.students.archs[0]).patch_size
    if grid != native_grid(teacher):
        notes.append(
            f"the teacher sees crops of {grid} x {grid} patches and was made for {native_grid(teacher)} a side: its "
            "position table is resampled"
        )
    return notes
