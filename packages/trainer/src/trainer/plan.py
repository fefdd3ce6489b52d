"""The plan of a pretraining run: what will run, worked out before anything is built."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch

from contracts.errors import ConfigError
from trainer.config.pretrain import PretrainConfig
from trainer.config.run import RunSection
from trainer.data.sources.source import ImageSource
from trainer.engine.device import choose_device, choose_precision
from trainer.engine.peak_flops import peak_flops
from trainer.engine.ranks import launched_ranks, ranks_of_this_machine
from trainer.initial_weights import InitialModel
from trainer.layers.attention_backends import check_backend
from trainer.memory_estimate import (
    MemoryEstimate,
    device_memory_gib,
    fitting_images,
    memory_of_step,
    tokens_per_image,
)
from trainer.methods.dinov2 import DinoV2
from trainer.recipe import method_settings, schedule_settings, step_sizes
from trainer.step_flops import step_flops


@dataclass(frozen=True)
class DataPlan:
    """The training images. `fingerprint` is the manifest's sha256 of a dataset folder, None for other sources."""

    source: str
    images: int
    fingerprint: str | None


@dataclass(frozen=True)
class PretrainPlan:
    """What will run.

    Units: lengths in optimiser steps, tokens and images per step, memory in GiB (an estimate). `teraflops_per_step` are
    10^12 operations by formula (step_flops.py), over all ranks; `peak_tflops` what a device does at most per second,
    None where that is not known; `hours_at_peak` what the run would take at that speed: it takes longer.
    """

    device: str
    precision: str
    steps: int
    images_per_step: int
    ranks: int
    images_per_rank: int
    strategy: str
    micro_batches: int
    images_seen: int
    epochs: float
    data: DataPlan
    workers: int
    peak_lr: float
    schedules: dict[str, float]
    initial_weights: str
    freeze_backbone_steps: int
    student_tokens_per_step: int
    teacher_tokens_per_step: int
    parameters: dict[str, int]
    prototypes: dict[str, int]
    memory: MemoryEstimate
    teraflops_per_step: float
    peak_tflops: float | None
    hours_at_peak: float | None
    notes: tuple[str, ...] = field(default=())

    def values(self) -> dict[str, Any]:
        """As nested plain values, for plan.yaml and JSON."""
        return {**asdict(self), "notes": list(self.notes)}


def make_plan(
    config: PretrainConfig, source: ImageSource, initial: InitialModel | None = None, world_size: int = 1
) -> PretrainPlan:
    """Work out what a run will do. Nothing is allocated: parameters are counted on torch's meta device."""
    device = choose_device(config.run.device)
    precision = choose_precision(config.run.precision, device)
    check_backend(config.model.attention, device.type, precision)
    fitted = schedule_settings(config)
    batch = config.run.batch_size
    with torch.device("meta"):
        method = DinoV2(method_settings(config))
    parameters = {name: sum(p.numel() for p in module.parameters()) for name, module in method.student.items()}
    global_tokens, local_tokens = tokens_per_image(config, method.settings.backbone)
    shares = _share_out(config, parameters, precision, device, world_size)
    notes = [*fitted.notes, *shares.notes]
    flops = step_flops(method.settings, step_sizes(config, shares.micro)).total * batch / shares.micro
    peak = peak_flops(device, precision, config.devices.peak_tflops)
    if len(source) < batch:
        notes.append(f"the {len(source)} images are fewer than a batch of {batch}: images repeat inside a batch")
    fresh = [] if initial is None else initial.lacks(method.student)
    frozen_steps = _frozen_steps(config, fresh)
    if fresh:
        notes.append(
            f"the model to start from has no {' and no '.join(fresh)} of the asked shape: fresh ones are trained "
            + (f"under a frozen backbone for {frozen_steps} steps" if frozen_steps else "with the backbone at once")
        )
    schedules = {name: value for name, value in asdict(fitted.settings).items() if name not in ("steps", "lr")}
    return PretrainPlan(
        device=str(device),
        precision=precision,
        steps=config.run.steps,
        images_per_step=batch,
        ranks=world_size,
        images_per_rank=batch // world_size,
        strategy=config.devices.strategy if world_size > 1 else "replicate",
        micro_batches=batch // (shares.micro * world_size),
        images_seen=batch * config.run.steps,
        epochs=round(batch * config.run.steps / len(source), 2),
        data=DataPlan(source.describe(), len(source), source.fingerprint),
        workers=choose_workers(config.data.workers, device, ranks_of_this_machine(world_size)),
        peak_lr=fitted.settings.lr,
        schedules=schedules,
        initial_weights="random" if initial is None else f"{initial.folder} ({initial.fingerprint})",
        freeze_backbone_steps=frozen_steps,
        student_tokens_per_step=batch * (global_tokens + local_tokens),
        teacher_tokens_per_step=batch * global_tokens,
        parameters=parameters,
        prototypes=_prototypes(config),
        memory=shares.memory,
        teraflops_per_step=round(flops / 1e12, 6),
        peak_tflops=None if peak is None else peak / 1e12,
        hours_at_peak=None if peak is None else round(flops * config.run.steps / (peak * world_size) / 3600, 3),
        notes=tuple(notes),
    )


def check_ranks(run: RunSection, device: torch.device, world_size: int) -> None:
    """Errors: ConfigError when the batch cannot be cut evenly, or there are fewer GPUs than ranks."""
    batch, micro = run.batch_size, run.micro_batch_size
    if batch % (world_size * (micro or 1)):
        parts = [f"{world_size} ranks"] if world_size > 1 else []
        parts += [f"micro-batches of {micro} images"] if micro else []
        raise ConfigError(
            f"run.batch_size {batch} cannot be cut into {' with '.join(parts)}: take a multiple of "
            f"{world_size * (micro or 1)}"
        )
    if device.type == "cuda" and world_size > launched_ranks() and world_size > torch.cuda.device_count():
        raise ConfigError(f"--devices {world_size} was asked for, but PyTorch sees {torch.cuda.device_count()} GPUs")


@dataclass(frozen=True)
class _Shares:
    """Images of one forward pass, the memory that this takes on each device, and what there is to say about it."""

    micro: int
    memory: MemoryEstimate
    notes: tuple[str, ...]


def _share_out(
    config: PretrainConfig, parameters: dict[str, int], precision: str, device: torch.device, world_size: int
) -> _Shares:
    """Cut the batch of a step into ranks and micro-batches. Errors: ConfigError when it cannot be cut evenly."""
    check_ranks(config.run, device, world_size)
    batch, asked = config.run.batch_size, config.run.micro_batch_size
    device_gib = device_memory_gib(device)
    if device.type == "cpu":
        device_gib /= world_size
    per_rank = batch // world_size
    micro = asked or fitting_images(config, parameters, per_rank, precision, device_gib)
    memory = replace(memory_of_step(config, parameters, micro, precision, world_size), device_gib=round(device_gib, 1))
    return _Shares(micro, memory, _memory_notes(asked, per_rank, micro, memory))


def _memory_notes(asked: int | None, per_rank: int, micro: int, memory: MemoryEstimate) -> tuple[str, ...]:
    needed = memory.peak_gib
    notes = []
    if asked is None and micro < per_rank:
        notes.append(
            f"{per_rank} images at once would not fit {memory.device_gib} GiB: {per_rank // micro} micro-batches of "
            f"{micro} make one step; KoLeo compares the images of a micro-batch"
        )
    if needed > memory.device_gib:
        notes.append(
            f"about {needed:.1f} GiB are needed and the device has {memory.device_gib}: take a smaller model, smaller "
            "crops or a smaller run.micro_batch_size"
        )
    return tuple(notes)


def _frozen_steps(config: PretrainConfig, fresh_heads: list[str]) -> int:
    """A trained backbone with fresh heads waits for them for a tenth of the run, unless the settings say otherwise."""
    if config.model.freeze_backbone_steps is not None:
        return config.model.freeze_backbone_steps
    return config.run.steps // 10 if fresh_heads else 0


def choose_workers(asked: int | None, device: torch.device, ranks: int = 1) -> int:
    """Loader processes of one of so many ranks on a machine: beside GPUs a share of all cores but one, at most 16; on
    the CPU, where training needs the cores, one.
    """
    if asked is not None:
        return asked
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if device.type == "cpu":
        return min(1, cores - 1)
    return max(1, min(16, (cores - 1) // ranks))


def _prototypes(config: PretrainConfig) -> dict[str, int]:
    found = {"dino": config.heads.dino.prototypes}
    return found if config.heads.shared else {**found, "ibot": config.heads.ibot.prototypes}
