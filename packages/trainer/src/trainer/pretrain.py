"""A pretraining run, put together: settings and images in, a run folder with a model out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trainer.config.pretrain import PretrainConfig
from trainer.data.loader import LoaderSettings
from trainer.data.open_source import open_source
from trainer.data.sources.source import ImageSource
from trainer.engine.environment import environment
from trainer.engine.loop import TrainJob, TrainOutcome, train
from trainer.engine.ranks import is_first, joined, rank, wait_for_all
from trainer.engine.recorder import Work
from trainer.engine.run_folder import RunFolder, RunIdentity, open_run, publish_finished, publish_run_files
from trainer.engine.shard import compile_blocks, shard_weights, whole_weights
from trainer.export.model_folder import ModelDescription, export_model
from trainer.initial_weights import InitialModel, find_initial_model, start_from
from trainer.job_parts import build_pictures, build_probe, check_probe, loop_settings, stream_from
from trainer.methods.dinov2 import DinoV2
from trainer.models.resize_positions import resized_positions
from trainer.models.sizes import parse_arch
from trainer.optim.adamw import build_adamw
from trainer.optim.schedules import build_schedules
from trainer.plan import PretrainPlan, make_plan
from trainer.recipe import high_resolution_config, method_settings, schedule_settings

# Settings that change no weight: a run may go on with others.
FREE_SETTINGS = (
    "data.workers",
    "data.remote",
    "data.augment_on",
    "run.log_every_steps",
    "run.checkpoint_every_steps",
    "run.keep_checkpoints",
    "run.background_checkpoints",
    "run.export_every_steps",
    "run.max_skipped_steps",
    "devices",
    "probe",
    "pictures",
)
DEFAULT_RUNS = Path("runs")
HIGH_RESOLUTION = "high_resolution"


@dataclass(frozen=True)
class PlannedRun:
    """A run that was worked out but not started.

    `out` is where it would go; `then` is its phase on larger crops; on request, `tuning` is what was measured for its
    sizes and `measured` how long it will take.
    """

    config: PretrainConfig
    source: ImageSource
    plan: PretrainPlan
    identity: RunIdentity
    initial: InitialModel | None
    out: Path
    then: PlannedRun | None = None
    tuning: Mapping[str, Any] | None = None
    measured: Mapping[str, Any] | None = None

    def values(self) -> dict[str, Any]:
        """The plan as plain values, with that of the phase on larger crops."""
        values = self.plan.values()
        if self.tuning is not None:
            values["tuning"] = dict(self.tuning)
        if self.measured is not None:
            values["measured_time"] = dict(self.measured)
        return values if self.then is None else {**values, HIGH_RESOLUTION: self.then.values()}


def plan_run(config: PretrainConfig, name: str, out: Path | None, ranks: int = 1) -> PlannedRun:
    """Open the images and work out the run; the default folder is runs/<name>-<hash of settings and data>.

    Errors: MissingInput, BrokenArtifact (images, also of the probe), ConfigError (settings that do not fit together).
    """
    source = open_source(config.data.path, config.data.remote, config.data.shuffle_shards)
    check_probe(config.probe)
    initial = find_initial_model(config.model.init_from) if config.model.init_from else None
    plan = make_plan(config, source, initial, ranks)
    data = {"images": plan.data.images, "fingerprint": plan.data.fingerprint}
    if initial is not None:
        data["initial_weights"] = initial.fingerprint
    identity = RunIdentity(config, data, FREE_SETTINGS)
    out = out or DEFAULT_RUNS / f"{name}-{identity.sha256()[:8]}"
    larger = high_resolution_config(config)
    if larger is None:
        return PlannedRun(config, source, plan, identity, initial, out)
    phase_plan = make_plan(larger, source, None, ranks)
    phase = PlannedRun(larger, source, phase_plan, identity, None, out / HIGH_RESOLUTION)
    return PlannedRun(config, source, plan, identity, initial, out, phase)


def run_pretraining(
    planned: PlannedRun, *, resume: bool | None, told_to_stop: Callable[[], int] = lambda: 0
) -> dict[str, Any]:
    """Train, or go on, or find that it is done; returns the report of run.json.

    `told_to_stop` is that of the loop.
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
            publish_run_files(run, planned.identity, planned.values(), environment(device))
        fields, outcome = _train(planned, run, device, told_to_stop)
        if outcome.stopped_by is None and is_first():
            publish_finished(run, planned.identity.sha256(), fields)
    return {**fields, "run": str(run.root), "stopped_by": outcome.stopped_by}


def _train(
    planned: PlannedRun, run: RunFolder, device: torch.device, told_to_stop: Callable[[], int]
) -> tuple[dict[str, Any], TrainOutcome]:
    """The run and its phase on larger crops, each from wherever it stands."""
    job = build_job(planned, run, device)
    outcome = train(job, told_to_stop)
    fields = _report(planned, outcome)
    if planned.then is not None and outcome.stopped_by is None:
        weights = whole_weights(job.method)
        del job
        outcome = train(_phase_job(planned.then, weights, run, device), told_to_stop)
        fields["high_resolution"] = _report(planned.then, outcome)
    return fields, outcome


def _phase_job(phase: PlannedRun, weights: Mapping[str, Tensor], run: RunFolder, device: torch.device) -> TrainJob:
    """The phase on larger crops: student, teacher and centers go on, with positions resized and a fresh optimiser."""
    settings = method_settings(phase.config).backbone
    resized = resized_positions(weights, settings.image_size, settings.patch_size)
    job = build_job(phase, RunFolder(phase.out), device, resized)
    job.settings = replace(job.settings, goes_on=True)
    job.export = lambda modules, step, _: _export(phase, modules, step, run.export)
    return job


def build_job(
    planned: PlannedRun, run: RunFolder, device: torch.device, weights: Mapping[str, Tensor] | None = None
) -> TrainJob:
    """Everything the loop needs, from a plan; `weights` of the whole method to begin with, or fresh ones.

    Weights depend on run.seed alone, later draws on the rank too.
    """
    config, plan = planned.config, planned.plan
    torch.manual_seed(config.run.seed)
    method = DinoV2(method_settings(config))
    if planned.initial is not None:
        start_from(planned.initial, method)
    if weights is not None:
        method.load_state_dict(weights)
    method.to(device)
    if config.devices.compile_blocks:
        compile_blocks(method)
    if plan.strategy == "shard":
        shard_weights(method, device, plan.precision)
    if rank():
        torch.manual_seed(config.run.seed * 1_000_003 + rank())
    return TrainJob(
        method=method,
        optimizer=build_adamw(method.parameter_groups(), betas=(config.optim.beta1, config.optim.beta2)),
        knobs=build_schedules(schedule_settings(config).settings).at,
        open_stream=stream_from(planned.source, loader_settings(planned)),
        run=run,
        settings=loop_settings(
            config,
            micro_batches=plan.micro_batches,
            clip_norm=config.optim.clip_norm,
            precision=plan.precision,
            freeze_backbone_steps=plan.freeze_backbone_steps,
        ),
        identity_sha256=planned.identity.sha256(),
        device=device,
        probe=build_probe(config.probe, config.crops, device, plan.precision),
        pictures=build_pictures(
            config, planned.source, run.pictures, parse_arch(config.model.arch).patch_size, device, plan.precision
        ),
        export=lambda modules, step, out: _export(planned, modules, step, out),
        work=_work(plan),
    )


def _work(plan: PretrainPlan) -> Work | None:
    """What MFU is worked out from, where the peak of the device is known."""
    if plan.peak_tflops is None:
        return None
    return Work(plan.teraflops_per_step * 1e12 / plan.images_per_step, plan.peak_tflops * 1e12)


def loader_settings(planned: PlannedRun) -> LoaderSettings:
    """How the batches of a planned run are made, on this rank."""
    config, plan = planned.config, planned.plan
    return LoaderSettings(
        batch_size=plan.images_per_rank // plan.micro_batches,
        patch_px=parse_arch(config.model.arch).patch_size,
        augmentation=config.crops,
        masking=config.masking,
        seed=config.run.seed,
        workers=plan.workers,
        recolour_on_device=config.data.augment_on == "device",
        rank=rank(),
        world_size=plan.ranks,
        batches_per_step=plan.micro_batches,
    )


def _export(planned: PlannedRun, modules: nn.ModuleDict, step: int, out: Path) -> None:
    config = planned.config
    description = ModelDescription(
        name=config.model.arch,
        method="dinov2",
        step=step,
        config_sha256=planned.identity.sha256(),
        mean=config.crops.mean,
        std=config.crops.std,
        origin={"images": planned.plan.data.images, "dataset_sha256": planned.plan.data.fingerprint},
    )
    export_model(modules, description, out)


def _report(planned: PlannedRun, outcome: TrainOutcome) -> dict[str, Any]:
    probes = [{"step": record["step"], **_probe_numbers(record)} for record in outcome.probes]
    return {
        "step": outcome.step,
        "steps": planned.plan.steps,
        "seconds": round(outcome.seconds, 1),
        "skipped_steps": outcome.skipped_steps,
        "loss": outcome.last.get("loss"),
        "probes": probes,
        "arch": planned.config.model.arch,
        "images": planned.plan.data.images,
    }


def _probe_numbers(record: Mapping[str, Any]) -> dict[str, float]:
    return {name.removeprefix("probe/"): value for name, value in record.items() if name.startswith("probe/")}
