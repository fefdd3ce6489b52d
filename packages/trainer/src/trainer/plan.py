"""The plan of a pretraining run: what will run, worked out before anything is built."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from contracts.dataset_folder import read_dataset
from trainer.config.pretrain import PretrainConfig
from trainer.data.sources.source import ImageSource
from trainer.engine.device import choose_device, choose_precision
from trainer.initial_weights import InitialModel
from trainer.memory_estimate import (
    MemoryEstimate,
    device_memory_gib,
    estimate_memory,
    fitting_images,
    tokens_per_image,
    weights_gib,
)
from trainer.methods.dinov2 import DinoV2
from trainer.recipe import method_settings, schedule_settings


@dataclass(frozen=True)
class DataPlan:
    """The training images. `fingerprint` is the manifest's sha256 of a dataset folder, None for other sources."""

    source: str
    images: int
    fingerprint: str | None


@dataclass(frozen=True)
class PretrainPlan:
    """What will run. Units: lengths in optimiser steps, tokens and images per step, memory in GiB (an estimate)."""

    device: str
    precision: str
    steps: int
    images_per_step: int
    images_per_rank: int
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
    fitted = schedule_settings(config)
    batch = config.run.batch_size
    with torch.device("meta"):
        method = DinoV2(method_settings(config))
    parameters = {name: sum(p.numel() for p in module.parameters()) for name, module in method.student.items()}
    global_tokens, local_tokens = tokens_per_image(config, method.settings.backbone)
    notes = list(fitted.notes)
    device_gib = device_memory_gib(device)
    micro = config.run.micro_batch_size or fitting_images(config, parameters, precision, device_gib)
    memory = MemoryEstimate(
        round(weights_gib(parameters), 3),
        round(estimate_memory(config, parameters, micro, precision), 3),
        round(device_gib, 1),
    )
    notes += _memory_notes(config, memory, micro)
    if len(source) < batch:
        notes.append(f"the {len(source)} images are fewer than a batch of {batch}: images repeat inside a batch")
    schedules = {name: value for name, value in asdict(fitted.settings).items() if name not in ("steps", "lr")}
    return PretrainPlan(
        device=str(device),
        precision=precision,
        steps=config.run.steps,
        images_per_step=batch,
        images_per_rank=batch // world_size,
        micro_batches=batch // (micro * world_size),
        images_seen=batch * config.run.steps,
        epochs=round(batch * config.run.steps / len(source), 2),
        data=DataPlan(source.describe(), len(source), data_fingerprint(config.data.path)),
        workers=choose_workers(config.data.workers, device),
        peak_lr=fitted.settings.lr,
        schedules=schedules,
        initial_weights="random" if initial is None else f"{initial.folder} ({initial.fingerprint})",
        freeze_backbone_steps=_frozen_steps(config, initial),
        student_tokens_per_step=batch * (global_tokens + local_tokens),
        teacher_tokens_per_step=batch * global_tokens,
        parameters=parameters,
        prototypes=_prototypes(config),
        memory=memory,
        notes=tuple(notes),
    )


def _memory_notes(config: PretrainConfig, memory: MemoryEstimate, micro: int) -> list[str]:
    batch = config.run.batch_size
    needed = memory.weights_gib + memory.activations_gib
    notes = []
    if config.run.micro_batch_size is None and micro < batch:
        notes.append(
            f"{batch} images at once would not fit {memory.device_gib} GiB: {batch // micro} micro-batches of {micro} "
            "make one step; KoLeo compares the images of a micro-batch"
        )
    if needed > memory.device_gib:
        notes.append(
            f"about {needed:.1f} GiB are needed and the device has {memory.device_gib}: take a smaller model, smaller "
            "crops or a smaller run.micro_batch_size"
        )
    return notes


def _frozen_steps(config: PretrainConfig, initial: InitialModel | None) -> int:
    """A trained backbone with fresh heads waits for them for a tenth of the run, unless the settings say otherwise."""
    if config.model.freeze_backbone_steps is not None:
        return config.model.freeze_backbone_steps
    return config.run.steps // 10 if initial is not None and not initial.has_heads else 0


def choose_workers(asked: int | None, device: torch.device) -> int:
    """Loader processes: beside a GPU all cores but one, at most 16; on the CPU, where training needs them, one."""
    if asked is not None:
        return asked
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if device.type == "cpu":
        return min(1, cores - 1)
    return max(1, min(16, cores - 1))


def data_fingerprint(path: str) -> str | None:
    """The sha256 of a dataset folder's manifest; None for other sources."""
    if not (Path(path) / "dataset.json").is_file():
        return None
    return read_dataset(path).header.manifest_sha256


def _prototypes(config: PretrainConfig) -> dict[str, int]:
    found = {"dino": config.heads.dino.prototypes}
    return found if config.heads.shared else {**found, "ibot": config.heads.ibot.prototypes}
