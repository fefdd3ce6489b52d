"""A distillation run, put together: settings, teacher and images in, a run folder with a model per student out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from contracts.config import plain_values
from contracts.publish import remove_drafts
from distill.config import DistillConfig, PrototypeObjective
from distill.head_stage import learn_heads, needs_heads
from distill.plan import DistillPlan, make_plan
from distill.recipe import build_method
from distill.students.rank_groups import RankGroups
from distill.students.several import Several
from distill.teachers.newest_run import DISTILLED
from distill.teachers.teacher import Teacher
from distill.teachers.token_cache import TokenCache, Writer
from trainer.data.loader import LoaderSettings
from trainer.data.masking.settings import MaskingSettings
from trainer.data.open_source import open_source
from trainer.data.sources.source import ImageSource
from trainer.engine.environment import environment
from trainer.engine.loop import TrainJob, TrainOutcome, train
from trainer.engine.ranks import is_first, joined, rank, wait_for_all
from trainer.engine.run_folder import RunFolder, RunIdentity, open_run, publish_finished, publish_run_files
from trainer.export.model_folder import LoadedModel, ModelDescription, export_model
from trainer.job_parts import build_pictures, build_probe, check_probe, loop_settings, stream_from
from trainer.models.sizes import parse_arch
from trainer.optim.adamw import build_adamw
from trainer.optim.schedules import build_schedules
from trainer.pretrain import DEFAULT_RUNS, FREE_SETTINGS
from trainer.recipe import schedule_settings

# Settings that may differ when a run goes on; like the number of ranks, that of a student's group is one of them.
FREE = (*FREE_SETTINGS, "teacher.cache.folder", "students.ranks")


@dataclass(frozen=True)
class PlannedDistillation:
    """A run that was worked out but not started. `out` is where it would go."""

    config: DistillConfig
    source: ImageSource
    teacher: LoadedModel
    plan: DistillPlan
    identity: RunIdentity
    out: Path


def plan_distillation(
    config: DistillConfig, teacher: LoadedModel, out: Path | None, ranks: int = 1
) -> PlannedDistillation:
    """Open the images and work out the run; the default folder is runs/distill-<students>-<hash>.

    Errors: MissingInput, BrokenArtifact (images, also of the probe), ConfigError (settings that do not fit together).
    """
    source = open_source(config.data.path, config.data.remote, config.data.shuffle_shards)
    check_probe(config.probe)
    plan = make_plan(config, source, teacher, ranks)
    identity = RunIdentity(config, {key: plan.data[key] for key in ("images", "fingerprint", "teacher")}, FREE)
    name = f"distill-{'-'.join(config.students.archs)}-{identity.sha256()[:8]}"
    return PlannedDistillation(config, source, teacher, plan, identity, out or DEFAULT_RUNS / name)


def run_distillation(planned: PlannedDistillation, *, resume: bool | None) -> dict[str, Any]:
    """Distil, or go on, or find that it is done; returns the report of run.json.

    A run that was stopped by a signal has `stopped_by` in its report and no run.json.
    Errors: those of open_run and of the loop.
    """
    run = open_run(planned.out, planned.identity, resume=resume)
    report = run.finished_report()
    if report is not None:
        return {**report, "run": str(run.root), "already_finished": True}
    with joined(torch.device(planned.plan.device)) as device:
        wait_for_all()  # every rank has looked at the folder before the first one writes to it
        if is_first():
            publish_run_files(run, planned.identity, planned.plan.values(), environment(device))
        fields, stopped_by = _train(planned, run, device)
        if stopped_by is None and is_first():
            publish_finished(run, planned.identity.sha256(), fields)
    return {**fields, "run": str(run.root), "stopped_by": stopped_by}


def _train(planned: PlannedDistillation, run: RunFolder, device: torch.device) -> tuple[dict[str, Any], int | None]:
    """The stage that learns heads, where one is needed, and the run, each from wherever it stands."""
    job, teacher = build_job(planned, run, device)
    stopped = learn_heads(teacher, job, planned.config) if needs_heads(planned.config, teacher) else None
    outcome = stopped or train(job)
    if teacher.cache is not None:
        teacher.cache.publish()
    return {**_report(planned, outcome), **({"step": 0} if stopped else {})}, outcome.stopped_by


def build_job(planned: PlannedDistillation, run: RunFolder, device: torch.device) -> tuple[TrainJob, Teacher]:
    """Everything the loop needs, from a plan, and the teacher in it. Weights depend on run.seed alone."""
    config, plan = planned.config, planned.plan
    model = planned.teacher
    teacher = Teacher(model.backbone, model.heads, device, plan.teacher.precision, config.teacher.compile)
    teacher.cache, teacher.grid = _open_cache(planned, run), config.teacher.grid
    torch.manual_seed(config.run.seed)
    groups = RankGroups(config.students.ranks) if config.students.ranks else None
    method = build_method(config, teacher, groups).to(device)
    job = TrainJob(
        method=method,
        optimizer=build_adamw(method.parameter_groups(), betas=(config.optim.beta1, config.optim.beta2)),
        knobs=build_schedules(schedule_settings(config).settings).at,
        open_stream=stream_from(planned.source, _loader_settings(planned)),
        run=run,
        settings=loop_settings(
            config,
            micro_batches=plan.micro_batches,
            clip_norm=config.optim.clip_norm,
            precision=plan.precision,
        ),
        identity_sha256=planned.identity.sha256(),
        device=device,
        probe=build_probe(config.probe, config.crops, device, plan.precision),
        pictures=build_pictures(config, planned.source, run.pictures, _patch_px(config), device, plan.precision),
        export=lambda modules, step, out: export_students(planned, modules, step, out),
    )
    return job, teacher


def student_folders(config: DistillConfig, export: Path) -> dict[str, Path]:
    """Where each student is published: `export` itself for one, `export`/<name> for several."""
    names = config.students.archs
    return {name: export if len(names) == 1 else export / name for name in names}


def export_students(planned: PlannedDistillation, modules: nn.ModuleDict, step: int, out: Path) -> None:
    """Publish the students' averages that `modules` hold."""
    config, plan = planned.config, planned.plan
    several, folders = Several(config.students.archs), student_folders(config, out)
    for name in several.found_in(modules):
        description = ModelDescription(
            name=name,
            method=DISTILLED,
            step=step,
            config_sha256=planned.identity.sha256(),
            mean=config.crops.mean,
            std=config.crops.std,
            origin={
                "teacher": planned.teacher.description.name,
                "teacher_sha256": plan.teacher.fingerprint,
                "objective": plan.objective,
                "images": plan.data["images"],
                "dataset_sha256": plan.data["fingerprint"],
            },
        )
        export_model(several.of(modules, name), description, folders[name])


def _patch_px(config: DistillConfig) -> int:
    """Side of a patch of the first student, which crops are measured for."""
    return parse_arch(config.students.archs[0]).patch_size


def _loader_settings(planned: PlannedDistillation) -> LoaderSettings:
    """Masks are drawn only where the patch loss takes a subset of positions."""
    config, plan = planned.config, planned.plan
    asked = config.objective
    subset = isinstance(asked, PrototypeObjective) and asked.ibot_tokens == "subset"
    return LoaderSettings(
        batch_size=plan.images_per_rank // plan.micro_batches,
        patch_px=_patch_px(config),
        augmentation=config.crops,
        masking=asked.masking if isinstance(asked, PrototypeObjective) and subset else MaskingSettings(probability=0),
        seed=config.run.seed,
        workers=plan.workers,
        recolour_on_device=config.data.augment_on == "device",
        rank=rank(),
        world_size=plan.ranks,
        batches_per_step=plan.micro_batches,
        crop_sets=config.teacher.cache.crop_sets if config.teacher.cache.gib else 0,
    )


def _open_cache(planned: PlannedDistillation, run: RunFolder) -> TokenCache | None:
    """The teacher's cache, where one is asked for. Its rows depend on what `content` names and on nothing else."""
    config, plan = planned.config, planned.plan
    asked = config.teacher.cache
    if not asked.gib:
        return None
    content = {
        "teacher": plan.teacher.fingerprint,
        "precision": plan.teacher.precision,
        "global_px": plan.teacher.global_px,
        "patch_grid": plan.patch_grid,
        "images": plan.data["fingerprint"] or str(Path(config.data.path).resolve()),
        "crops": plain_values(config.crops),
        "seed": config.run.seed,
    }
    folder = Path(asked.folder) if asked.folder else run.root / "teacher_cache"
    if is_first():
        remove_drafts(folder)
    wait_for_all()  # no rank writes before all have opened the cache: the loop waits for all when it begins
    return TokenCache(folder, content, asked.gib, writer=Writer(rank(), plan.ranks))


def _report(planned: PlannedDistillation, outcome: TrainOutcome) -> dict[str, Any]:
    return {
        "step": outcome.step,
        "steps": planned.plan.steps,
        "seconds": round(outcome.seconds, 1),
        "skipped_steps": outcome.skipped_steps,
        "loss": outcome.last.get("loss"),
        "probes": [{"step": record["step"], **_probe_numbers(record)} for record in outcome.probes],
        "students": planned.plan.students,
        "teacher": planned.config.teacher.model,
        "objective": planned.plan.objective,
        "images": planned.plan.data["images"],
    }


def _probe_numbers(record: Mapping[str, Any]) -> dict[str, float]:
    return {name.removeprefix("probe/"): value for name, value in record.items() if name.startswith("probe/")}
