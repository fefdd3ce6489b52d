"""The stage that gives a teacher heads when it has none: a training job of its own inside the run folder.

RUN/teacher_heads/heads.safetensors    published when the stage is done; metrics and checkpoints lie beside it
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from contracts.publish import draft
from distill.config import DistillConfig, PrototypeObjective
from distill.methods.head_learning import HeadLearning, HeadLearningSettings
from distill.teachers.teacher import Teacher
from trainer.engine.loop import TrainJob, TrainOutcome, train
from trainer.engine.ranks import wait_for_all
from trainer.engine.run_folder import RunFolder
from trainer.export.heads_file import build_heads, head_tensors
from trainer.models.sizes import parse_arch
from trainer.optim.adamw import build_adamw
from trainer.optim.schedules import build_schedules, compressed
from trainer.recipe import head_settings, schedule_settings

FOLDER, FILE = "teacher_heads", "heads.safetensors"


def needs_heads(config: DistillConfig, teacher: Teacher) -> bool:
    """True when exact distillation is asked for and the teacher has no heads yet."""
    return isinstance(config.objective, PrototypeObjective) and teacher.dino_head is None


def learn_heads(teacher: Teacher, main: TrainJob, config: DistillConfig) -> TrainOutcome | None:
    """Learn heads for the teacher, or take those that an earlier call published; the teacher gets them.

    The stage shares stream, device and rhythm with the main job; its schedules are the main ones run through in
    teacher.head_steps. Returns its outcome when it was stopped by a signal, else None.
    """
    run = RunFolder(main.run.root / FOLDER)
    file = run.root / FILE
    if not file.is_file():
        outcome = train(_job(teacher, main, config, run))
        if outcome.stopped_by is not None:
            return outcome
        wait_for_all()  # the first rank publishes the heads
    teacher.take_heads(build_heads(load_file(file)))
    return None


def _job(teacher: Teacher, main: TrainJob, config: DistillConfig, run: RunFolder) -> TrainJob:
    asked = config.objective
    assert isinstance(asked, PrototypeObjective), "only exact distillation has heads"
    torch.manual_seed(config.run.seed)
    settings = HeadLearningSettings(
        dino_head=head_settings(asked.heads.dino),
        ibot_head=None if asked.heads.shared else head_settings(asked.heads.ibot),
        reference_patch=parse_arch(config.students.archs[0]).patch_size,
        centering=asked.centering,
        student_temp=asked.student_temp,
    )
    method = HeadLearning(settings, teacher).to(main.device)
    steps = config.teacher.head_steps
    return replace(
        main,
        method=method,
        optimizer=build_adamw(method.parameter_groups(), betas=(config.optim.beta1, config.optim.beta2)),
        knobs=build_schedules(compressed(schedule_settings(config).settings, steps)).at,
        run=run,
        settings=replace(main.settings, total_steps=steps, probe_every=0, pictures_every=0, export_every=0),
        probe=None,
        pictures=None,
        export=lambda modules, _step, _out: _publish(modules, run.root / FILE),
    )


def _publish(heads: torch.nn.ModuleDict, file: Path) -> None:
    with draft(file) as rough:
        save_file(head_tensors(heads), rough, metadata={"format": "pt"})
