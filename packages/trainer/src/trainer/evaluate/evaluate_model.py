"""`trainer evaluate`: a model beside its baselines on labelled images, as a report that is JSON and a table."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from contracts.errors import ConfigError, MissingInput, nearest_name
from trainer.evaluate.baselines import pixel_patches, random_twin, raw_pixels
from trainer.evaluate.eval_images import EvalTransform, image_batches
from trainer.evaluate.features import Embed, FeatureTable, class_token, extract, last_blocks, patch_tokens
from trainer.evaluate.knn import KS, knn_accuracy
from trainer.evaluate.labelled_images import LabelledImages, open_labelled, split_in_halves
from trainer.evaluate.linear import BLOCKS, LinearSettings, linear_accuracy
from trainer.evaluate.mask_images import open_masked
from trainer.evaluate.retrieval import retrieval_score
from trainer.evaluate.segmentation import SegmentationSettings, dense_features, segmentation_score
from trainer.evaluate.watch import Watch, unwatched
from trainer.export.model_folder import LoadedModel, load_model


@dataclass(frozen=True)
class EvaluationRequest:
    """What to evaluate and how.

    `data` is labelled images, or for segmentation a folder of images and masks; `test` None splits it in halves;
    `image_px` None takes the model's own; `max_images` of each labelled set are used; `tasks` are names of EVALUATIONS
    or SEGMENTATION alone; `baselines` adds raw pixels and the same architecture with random weights; `watch` tells the
    progress of a pass over the images.
    """

    model: Path | str
    data: Path | str
    test: Path | str | None = None
    tasks: Sequence[str] = ("knn",)
    image_px: int | None = None
    max_images: int | None = None
    batch_size: int = 64
    device: str = "cpu"
    seed: int = 0
    baselines: bool = True
    linear: LinearSettings = field(default_factory=LinearSettings)
    watch: Watch = unwatched


@dataclass(frozen=True)
class Contest:
    """One contestant's ways to features: class token, patch tokens, the stack of the linear probe (None: no blocks)."""

    vector: Embed
    dense: Embed
    stack: Embed | None = None


@dataclass(frozen=True)
class Arena:
    """The two sets, how their images are prepared, and what was asked."""

    train: LabelledImages
    test: LabelledImages
    transform: EvalTransform
    request: EvaluationRequest

    def tables(self, embed: Embed) -> tuple[FeatureTable, FeatureTable]:
        """Features of both sets."""
        batch, device = self.request.batch_size, self.request.device
        tables = []
        for part, label in ((self.train, "training images"), (self.test, "test images")):
            batches = image_batches(part.source, self.transform, part.indices, batch)
            seen = self.request.watch(batches, len(part.indices), label, lambda one: len(one.keys) + one.unreadable)
            tables.append(extract(seen, self.transform, embed, device))
        train, test = tables
        if len(train.labels) and bool((train.labels == train.labels[0]).all()):
            raise MissingInput(
                f"all {len(train.labels)} training images have the same class, and any model is right then: wanted two "
                "classes or more"
            )
        return train, test


def knn_task(contest: Contest, arena: Arena) -> Mapping[str, Any]:
    """k-NN accuracy for every k."""
    train, test = arena.tables(contest.vector)
    scores = knn_accuracy((train.features, train.labels), (test.features, test.labels), KS)
    return {str(k): asdict(score) for k, score in scores.items()}


def linear_task(contest: Contest, arena: Arena) -> Mapping[str, Any] | None:
    """Accuracy of the best linear probe; None for a contestant without blocks."""
    if contest.stack is None:
        return None
    train, test = arena.tables(contest.stack)
    return asdict(linear_accuracy(train, test, arena.request.linear))


def retrieval_task(contest: Contest, arena: Arena) -> Mapping[str, Any]:
    """Mean average precision of finding the training images of a test image's class."""
    train, test = arena.tables(contest.vector)
    return asdict(retrieval_score((train.features, train.labels), (test.features, test.labels)))


Task = Callable[[Contest, Arena], Mapping[str, Any] | None]
EVALUATIONS: dict[str, Task] = {"knn": knn_task, "linear": linear_task, "retrieval": retrieval_task}
SEGMENTATION = "segmentation"
"""Stands alone: it wants masks, not classes."""


def evaluate_model(request: EvaluationRequest) -> dict[str, Any]:
    """Run the asked tasks for the model and its baselines. Errors: UserError of any of the parts."""
    check_tasks(request.tasks)
    model = load_model(request.model)
    began = time.monotonic()
    if SEGMENTATION in request.tasks:
        images, side, results = _segmentation(model, request)
    else:
        arena = open_arena(model, request)
        images = {"train": len(arena.train.indices), "test": len(arena.test.indices)}
        side = arena.transform.image_px
        results = {
            name: {task: EVALUATIONS[task](contest, arena) for task in request.tasks}
            for name, contest in contestants(model, request).items()
        }
    header, rows = table_of(results)
    return {
        "model": str(request.model),
        "folder": str(model.folder),
        "name": model.description.name,
        "images": images,
        "image_px": side,
        "results": results,
        "table": {"header": header, "rows": rows},
        "seconds": round(time.monotonic() - began, 3),
    }


def check_tasks(tasks: Sequence[str]) -> None:
    """Errors: ConfigError for an unknown task, or for segmentation beside one that wants classes."""
    known = [*EVALUATIONS, SEGMENTATION]
    for task in tasks:
        if task not in known:
            raise ConfigError(f"unknown evaluation {task!r}; {nearest_name(task, known)}")
    if SEGMENTATION in tasks and len(tasks) > 1:
        raise ConfigError("segmentation wants masks and the other tasks want classes: evaluate it alone")


def _segmentation(
    model: LoadedModel, request: EvaluationRequest
) -> tuple[dict[str, int], int, dict[str, Mapping[str, Any]]]:
    """Linear segmentation of every contestant: numbers of images, their side, results."""
    train = open_masked(request.data)
    if request.test is None:
        first, second = split_in_halves(len(train.images), request.seed)
        if not len(second):
            raise MissingInput(f"{request.data} holds one image: add more, or name a test set with --test")
        train, test = train.part(first.tolist()), train.part(second.tolist())
    else:
        test = open_masked(request.test)
    side = request.image_px or model.image_px
    transform = EvalTransform(side, model.description.mean, model.description.std)
    results: dict[str, Mapping[str, Any]] = {}
    for name, contest in contestants(model, request).items():
        learned, asked = (
            dense_features(part, transform, contest.dense, device=request.device, watch=request.watch)
            for part in (train, test)
        )
        score = segmentation_score(learned, asked, SegmentationSettings(seed=request.seed))
        results[name] = {SEGMENTATION: asdict(score)}
    return {"train": len(train.images), "test": len(test.images)}, side, results


def open_arena(model: LoadedModel, request: EvaluationRequest) -> Arena:
    """The labelled sets and the transform that a model asks for."""
    train, test = open_labelled(request.data, request.test, request.max_images, request.seed)
    said = model.description
    transform = EvalTransform(request.image_px or model.image_px, said.mean, said.std)
    return Arena(train, test, transform, request)


def contestants(model: LoadedModel, request: EvaluationRequest) -> dict[str, Contest]:
    """The model and, where asked for, its baselines."""
    found = {"model": contest_of(model.backbone.to(request.device))}
    if request.baselines:
        found["random weights"] = contest_of(random_twin(model.backbone, request.seed).to(request.device))
        found["raw pixels"] = Contest(raw_pixels(), pixel_patches(model.backbone.patch_size))
    return found


def contest_of(backbone: Any) -> Contest:
    """A backbone's class token and its stack."""
    return Contest(
        class_token(backbone), patch_tokens(backbone), last_blocks(backbone, min(max(BLOCKS), backbone.depth))
    )


def table_of(results: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Results by contestant as a table: header and rows, accuracies in per cent."""
    ks = sorted({int(k) for found in results.values() for k in found.get("knn", {})})
    columns: list[tuple[str, tuple[str, ...]]] = [(f"k-NN {k} (%)", ("knn", str(k), "top1")) for k in ks]
    more = (
        ("linear (%)", ("linear", "top1")),
        ("retrieval mAP (%)", ("retrieval", "mean_average_precision")),
        ("mIoU (%)", (SEGMENTATION, "mean_iou")),
        ("pixels right (%)", (SEGMENTATION, "pixel_accuracy")),
    )
    columns += [(title, path) for title, path in more if any(path[0] in found for found in results.values())]
    rows = [[name, *(_per_cent(found, path) for _, path in columns)] for name, found in results.items()]
    return ["", *(title for title, _ in columns)], rows


def _per_cent(found: Any, path: Sequence[str]) -> str:
    """A number below nested dicts, in per cent; a dash where there is none."""
    for key in path:
        if found is None:
            return "-"
        found = found[key]
    return f"{100 * found:.1f}"
