"""`distill evaluate`: teacher, students, random weights and a model from scratch on the same images."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from contracts.config import read_yaml
from contracts.errors import ConfigError, MissingInput
from contracts.model_folder import is_model_folder
from distill.likeness import linear_cka, mapped_cosine
from trainer.evaluate.baselines import pixel_patches, random_twin, raw_pixels
from trainer.evaluate.evaluate_model import (
    EVALUATIONS,
    SEGMENTATION,
    Arena,
    Contest,
    EvaluationRequest,
    check_tasks,
    contest_of,
    open_arena,
    table_of,
)
from trainer.evaluate.features import Embed, FeatureTable
from trainer.export.find_model import EXPORT_FOLDER
from trainer.export.model_folder import Backbone, LoadedModel, load_model

TEACHER = "teacher"
Tables = tuple[FeatureTable, FeatureTable]
"""Features of the training and of the test images."""
SPEED_SECONDS = 1.0
SHOWN_K = 20
SPEED_IMAGES = 32


@dataclass(frozen=True)
class ComparisonRequest:
    """What to compare: students (runs or model folders), their teacher, and models of their sizes from scratch.

    `teacher` None takes what the first run's configuration names.
    """

    students: Sequence[str]
    teacher: str | None
    scratch: Sequence[str]
    evaluation: EvaluationRequest


def compare(request: ComparisonRequest) -> dict[str, Any]:
    """Every contestant's accuracies, likeness to the teacher, parameters and speed. Errors: UserError of the parts."""
    if SEGMENTATION in request.evaluation.tasks:
        raise ConfigError("segmentation is evaluated one model at a time: use `trainer evaluate --task segmentation`")
    check_tasks(request.evaluation.tasks)
    models = _models(request)
    asked, results, random = request.evaluation, {}, {}
    teacher = models[TEACHER]
    wanted: Tables | None = None
    for name, model in models.items():
        arena = open_arena(model, asked)
        results[name], features = _measured(model.backbone.to(asked.device), arena, wanted)
        wanted = wanted or features  # the teacher is the first one
        twin_name = f"random {model.description.name}"
        if asked.baselines and name != TEACHER and twin_name not in random:
            twin = random_twin(model.backbone, asked.seed).to(asked.device)
            random[twin_name], _ = _measured(twin, arena, wanted)
    if asked.baselines:
        patch = teacher.backbone.patch_size
        results |= random | {"raw pixels": _tasks(Contest(raw_pixels(), pixel_patches(patch)), arena)}
    return {
        "models": {name: str(model.folder) for name, model in models.items()},
        "images": {"train": len(arena.train.indices), "test": len(arena.test.indices)},
        "results": results,
        "table": _table(results),
    }


def _models(request: ComparisonRequest) -> dict[str, LoadedModel]:
    """Teacher first, then the students by architecture, then those from scratch."""
    models = {TEACHER: load_model(request.teacher or _teacher_of(request.students[0]))}
    for kind, specs in (("student", request.students), ("scratch", request.scratch)):
        found = [(spec, load_model(folder)) for spec in specs for folder in model_folders(spec)]
        names = [f"{kind} {model.description.name}" for _, model in found]
        for (spec, model), name in zip(found, names, strict=True):
            models[name if names.count(name) == 1 else f"{name} ({spec})"] = model
    return models


def model_folders(spec: str) -> list[str]:
    """The model folders that a run's name stands for: one, or one per student."""
    export = Path(spec) / EXPORT_FOLDER
    if export.is_dir() and not is_model_folder(export):
        return [str(folder) for folder in sorted(export.iterdir()) if is_model_folder(folder)] or [spec]
    return [spec]


def _teacher_of(run: str) -> str:
    """The teacher that a distillation run's configuration names."""
    file = Path(run) / "config.yaml"
    named = (read_yaml(file).get("teacher") or {}).get("model") if file.is_file() else None
    if not isinstance(named, str):
        raise MissingInput(f"{run} does not say which teacher it learned from: name the teacher with --teacher")
    return named


@dataclass(frozen=True)
class RememberingArena(Arena):
    """An arena in which tasks that want the same features share one pass over the images."""

    known: dict[Embed, Tables] = field(default_factory=dict)

    def tables(self, embed: Embed) -> Tables:
        """Features of both sets, computed at the first call."""
        if embed not in self.known:
            self.known[embed] = super().tables(embed)
        return self.known[embed]


def _measured(backbone: Backbone, arena: Arena, teacher: Tables | None) -> tuple[dict[str, Any], Tables]:
    """All numbers of one contestant, and its class tokens, which are compared with the teacher's, if there are any."""
    remembering = RememberingArena(arena.train, arena.test, arena.transform, arena.request)
    contest = contest_of(backbone)
    found = _tasks(contest, remembering)
    found["parameters"] = sum(p.numel() for p in backbone.parameters())
    found["images_per_second"] = images_per_second(backbone, arena.transform.image_px, arena.request.device)
    train, test = remembering.tables(contest.vector)
    if teacher is not None:
        wanted, test_wanted = teacher
        found["cka_to_teacher"] = linear_cka(test.features, test_wanted.features)
        found["cosine_to_teacher"] = mapped_cosine(train.features, wanted.features, test.features, test_wanted.features)
    return found, (train, test)


def _tasks(contest: Contest, arena: Arena) -> dict[str, Any]:
    return {task: EVALUATIONS[task](contest, arena) for task in arena.request.tasks}


@torch.inference_mode()
def images_per_second(backbone: Backbone, side: int, device: str) -> float:
    """Forward passes on random images, over at least a second after a warm-up."""
    images = torch.randn(SPEED_IMAGES, backbone.in_channels, side, side, device=device)
    backbone(images)
    _finish(device)
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < SPEED_SECONDS:
        backbone(images)
        _finish(device)
        count += SPEED_IMAGES
    return count / (time.perf_counter() - began)


def _finish(device: str) -> None:
    """Wait for what the device still computes."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def _table(results: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Header and rows as text: one k of k-NN, so that the rows fit a terminal; the report holds every k."""
    shared = [set(found["knn"]) for found in results.values() if "knn" in found]
    ks = sorted(set.intersection(*shared), key=lambda k: abs(int(k) - SHOWN_K)) if shared else []
    tasks = {
        name: {key: {ks[0]: found[key][ks[0]]} if key == "knn" else found[key] for key in EVALUATIONS if key in found}
        for name, found in results.items()
    }
    header, rows = table_of(tasks)
    more = (
        ("CKA", "cka_to_teacher", "{:.3f}", 1.0),
        ("cosine", "cosine_to_teacher", "{:.3f}", 1.0),
        ("params (M)", "parameters", "{:.2f}", 1e6),
        ("images/s", "images_per_second", "{:,.0f}", 1.0),
    )
    for title, key, shape, unit in more:
        header.append(title)
        for row, found in zip(rows, results.values(), strict=True):
            row.append(shape.format(found[key] / unit) if key in found else "-")
    return {"header": header, "rows": rows}
