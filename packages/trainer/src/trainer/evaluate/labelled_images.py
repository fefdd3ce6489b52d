"""The two labelled sets of an evaluation: what features are compared with, and what is tested."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from contracts.errors import ConfigError, MissingInput
from trainer.data.open_source import open_source
from trainer.data.sources.source import ImageSource


@dataclass(frozen=True)
class LabelledImages:
    """Indices into a source. Test and training indices never share an image of the same source."""

    source: ImageSource
    indices: np.ndarray


def open_labelled(
    data: Path | str, test: Path | str | None, max_images: int | None = None, seed: int = 0
) -> tuple[LabelledImages, LabelledImages]:
    """Training and test images with classes; without `test`, `data` is split in two halves by a seed.

    At most `max_images` of each are taken, drawn by the seed.
    Errors: MissingInput when a source has no classes or too few images, ConfigError when the two name classes apart.
    """
    train_source = open_source(data)
    _need_classes(train_source, data)
    if test is None:
        first, second = split_in_halves(len(train_source), seed)
        if not len(second):
            raise MissingInput(f"{data} holds one image: name a test set with --test")
        return (
            LabelledImages(train_source, _at_most(first, max_images, seed)),
            LabelledImages(train_source, _at_most(second, max_images, seed)),
        )
    test_source = open_source(test)
    _need_classes(test_source, test)
    if not _same_classes(train_source.class_names or (), test_source.class_names or ()):
        raise ConfigError(
            f"{data} has the classes {_shown(train_source)} and {test} has {_shown(test_source)}: the two sets of an "
            "evaluation must have the same classes in the same order"
        )
    return (
        LabelledImages(train_source, _at_most(np.arange(len(train_source)), max_images, seed)),
        LabelledImages(test_source, _at_most(np.arange(len(test_source)), max_images, seed)),
    )


def split_in_halves(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two disjoint halves of all indices, drawn with a seed and sorted."""
    order = np.random.default_rng(seed).permutation(count)
    return np.sort(order[: (count + 1) // 2]), np.sort(order[(count + 1) // 2 :])


def _at_most(indices: np.ndarray, most: int | None, seed: int) -> np.ndarray:
    if most is None or len(indices) <= most:
        return indices
    return np.sort(np.random.default_rng(seed).permutation(indices)[:most])


def _need_classes(source: ImageSource, name: Path | str) -> None:
    if source.class_names is None:
        raise MissingInput(
            f"{name} has no classes, which an evaluation needs: use one folder per class, a list with labels, Parquet "
            "with a label column, or tars with a .cls beside every image"
        )


def _same_classes(first: tuple[str, ...], second: tuple[str, ...]) -> bool:
    """Whether labels mean the same. Numbers that have no names may end earlier in one set."""
    shorter, longer = sorted((first, second), key=len)
    numbers = tuple(str(number) for number in range(len(longer)))
    return first == second or (longer == numbers and shorter == numbers[: len(shorter)])


def _shown(source: ImageSource) -> str:
    names = source.class_names or ()
    return f"{', '.join(names[:3])}{', ...' if len(names) > 3 else ''} ({len(names)})"
