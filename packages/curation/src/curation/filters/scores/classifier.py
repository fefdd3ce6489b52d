"""Scores by a Hugging Face image classifier: the probability of a label, as its own pipeline computes it.

Dimensions: B images, K labels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.errors import UserError, nearest_name
from curation.embed.config import EmbedConfig
from curation.embed.decode_ahead import Preparing, Unusable, prepared_images
from curation.embed.huggingface_files import cannot_load, input_rule, load_transformers, read_config, weights_identity
from curation.embed.neural_input import InputRule
from curation.embed.parts import plan_parts
from curation.embed.torch_device import device_of, dtype_of, load_torch, use_threads
from curation.filters.config import ClassifierFilter
from curation.filters.scores.score import Score, write_scores
from curation.sources.image_part import ImagePart

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Classifier:
    """What a worker needs to know: the model, which of its labels, and how its output becomes probabilities."""

    model: str
    places: tuple[int, ...]
    independent_labels: bool
    rule: InputRule


def classifier_score(asked: ClassifierFilter, settings: EmbedConfig, part_images: int) -> Score:
    """Check the model's files without loading its weights. Errors: MissingInput (no model), UserError (labels)."""
    # The classifier gets its input as it was trained, whatever the embedders are told.
    settings = settings.model_copy(update={"resize": "model", "image_px": None})
    config = read_config(asked.model)
    _require_classifier(asked, config)
    labels: dict[int, str] = dict(config.id2label)
    places = tuple(_place(asked, label, labels) for label in asked.labels)
    independent = config.problem_type == "multi_label_classification" or len(labels) == 1
    rule = input_rule(asked.model, config, settings)
    told = [labels[place] for place in places]
    weights = weights_identity(asked.model, config)
    return Score(
        name=asked.name,
        bounds=asked.bounds,
        version=f"classifier {weights}, {rule.describe()}, {settings.precision}, labels {places}",
        about={"model": Path(asked.model).name if Path(asked.model).is_dir() else asked.model, "label": told},
        cut=partial(_cut, part_images=part_images),
        make_worker=partial(make_worker, Classifier(asked.model, places, independent, rule), settings),
        cpus=settings.cpus_per_worker,
        gpus=settings.gpus_per_worker,
    )


def _cut(images: pa.Table, part_images: int) -> Sequence[ImagePart]:
    return plan_parts(images, pa.array([], pa.string()), 0, part_images)


def _require_classifier(asked: ClassifierFilter, config: Any) -> None:
    built = list(config.architectures or [])
    if built and not any(name.endswith("ForImageClassification") for name in built):
        raise UserError(
            f"the filter {asked.name!r} names {asked.model}, which is a {built[0]} and no image classifier: give a "
            "model whose config.json says ...ForImageClassification"
        )


def _place(asked: ClassifierFilter, label: str, labels: Mapping[int, str]) -> int:
    """Which output a label is; case does not matter where it is not needed."""
    exact = [place for place, known in labels.items() if known == label]
    found = exact or [place for place, known in labels.items() if known.casefold() == label.casefold()]
    if len(found) != 1:
        raise UserError(
            f"the filter {asked.name!r}: {asked.model} has no label {label!r} ({nearest_name(label, labels.values())})"
        )
    return int(found[0])


def make_worker(classifier: Classifier, settings: EmbedConfig, folder: str) -> Callable[[ImagePart], int]:
    """Built once per worker: the model is loaded here."""
    score = LoadedClassifier(classifier, settings)
    preparing = Preparing(classifier.rule.prepare, None, settings.threads_ahead, settings.batch_images)

    def work(part: ImagePart) -> int:
        return write_scores(folder, part, scores_of(part, score, preparing, settings.batch_images))

    return work


def scores_of(
    part: ImagePart, score: Callable[[Floats], Floats], preparing: Preparing[Floats], batch_images: int
) -> list[float | None]:
    """A score for every image of a part, batch by batch; None for those that cannot be read."""
    found: dict[int, float] = {}
    rows: list[int] = []
    batch: list[Floats] = []
    images = prepared_images(part.keys, part.uris, preparing)
    for row, (_, ready) in enumerate(images):
        if not isinstance(ready, Unusable):
            rows.append(row)
            batch.append(ready)
        if batch and (len(batch) == batch_images or row == len(part.keys) - 1):
            found.update(zip(rows, score(np.stack(batch)).tolist(), strict=True))
            rows, batch = [], []
    return [found.get(row) for row in range(len(part.keys))]


class LoadedClassifier:
    """The model on its device."""

    def __init__(self, classifier: Classifier, settings: EmbedConfig) -> None:
        use_threads(settings)
        self._device, self._dtype = device_of(settings), dtype_of(settings)
        self._places, self._independent = list(classifier.places), classifier.independent_labels
        self._model = _load(classifier.model).to(self._device, self._dtype).eval()

    def __call__(self, batch: Floats) -> Floats:
        """Shapes: [B, 3, H, W] -> [B]. Range: 0 to 1."""
        torch = load_torch()
        with torch.inference_mode():
            logits = self._model(pixel_values=torch.from_numpy(batch).to(self._device, self._dtype)).logits.float()
            if self._independent:
                values = logits.sigmoid()[:, self._places].amax(dim=1)
            else:
                values = logits.softmax(dim=1)[:, self._places].sum(dim=1)
        found: Floats = values.cpu().numpy()
        return found


def _load(spec: str) -> Any:
    """Load a classifier. Errors: MissingInput; UserError where the files hold no weights of its last layer."""
    try:
        model, info = load_transformers(spec).AutoModelForImageClassification.from_pretrained(
            spec, output_loading_info=True
        )
    except (OSError, ValueError, KeyError) as error:
        raise cannot_load(spec, error) from None
    if missing := sorted(info["missing_keys"]):
        raise UserError(
            f"the files of {spec} lack {len(missing)} weights of an image classifier, the first: {missing[0]}; give a "
            "model that was trained to classify"
        )
    return model
