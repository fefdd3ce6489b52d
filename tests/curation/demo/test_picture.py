"""The kinds are told apart by their structure, and by nothing that a lazy learner could look at instead.

Dimensions: B pictures, S side in px.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from curation.api import DEMO_DEDUP_THRESHOLD
from curation.demo.edits import EDIT_KINDS, edited
from curation.demo.off_topic import OFF_TOPIC_KINDS, draw_off_topic
from curation.demo.picture import KINDS, draw_picture
from curation.embed.copy_descriptor import CopyDescriptor

Floats = NDArray[np.float32]
EACH = 30
CHANCE = 1 / len(KINDS)


@pytest.fixture(scope="module")
def pictures() -> NDArray[np.uint8]:
    """[2 * EACH * kinds, 64, 64, 3]; picture i is of kind i modulo the number of kinds."""
    return np.stack(
        [draw_picture(KINDS[i % len(KINDS)], np.random.default_rng([7, i]), 64) for i in range(2 * EACH * len(KINDS))]
    )


def nearest_neighbour_accuracy(features: Floats) -> float:
    """Share of the second half whose nearest picture of the first half (by cosine) is of the same kind."""
    rows = features.reshape(len(features), -1).astype(np.float32)
    rows = rows - rows.mean(axis=0)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    half = len(rows) // 2
    nearest = (rows[half:] @ rows[:half].T).argmax(axis=1)
    return float((nearest % len(KINDS) == np.arange(half) % len(KINDS)).mean())


def test_colours_tell_nothing(pictures: NDArray[np.uint8]) -> None:
    assert nearest_neighbour_accuracy(pictures.mean(axis=(1, 2))) < 2 * CHANCE


def test_raw_pixels_tell_little(pictures: NDArray[np.uint8]) -> None:
    assert nearest_neighbour_accuracy(pictures[:, ::2, ::2].astype(np.float32)) < 0.35


def test_spatial_frequencies_tell_much(pictures: NDArray[np.uint8]) -> None:
    grey = pictures.mean(axis=3)
    spectrum = np.abs(np.fft.rfft2(grey - grey.mean(axis=(1, 2), keepdims=True)))[:, :, :24]
    assert nearest_neighbour_accuracy(np.log1p(spectrum).astype(np.float32)) > 0.45  # one in twelve by chance


def test_no_two_pictures_pass_for_copies(pictures: NDArray[np.uint8]) -> None:
    rows = CopyDescriptor().embed_images(list(pictures))
    cosine = rows @ rows.T - 2 * np.eye(len(rows), dtype=np.float32)
    assert cosine.max() < DEMO_DEDUP_THRESHOLD


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_has_structure_at_any_size(kind: str) -> None:
    for side_px in (16, 64, 96):
        picture = draw_picture(kind, np.random.default_rng(3), side_px)
        assert picture.shape == (side_px, side_px, 3)
        assert picture.dtype == np.uint8
        assert picture.astype(np.float32).std() > 8


@pytest.mark.parametrize("kind", OFF_TOPIC_KINDS)
def test_off_topic_pictures_differ_from_each_other(kind: str) -> None:
    first, second = (draw_off_topic(kind, np.random.default_rng(seed), 64) for seed in (0, 1))
    assert first.shape == (64, 64, 3)
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("edit", EDIT_KINDS)
def test_an_edit_changes_the_picture_but_not_what_it_shows(edit: str, pictures: NDArray[np.uint8]) -> None:
    descriptor = CopyDescriptor()
    changed = [edited(edit, picture, np.random.default_rng(i)) for i, picture in enumerate(pictures[:24])]
    assert not any(np.array_equal(a, b) for a, b in zip(pictures[:24], changed, strict=True))
    assert all(len(image) == image.shape[1] for image in changed)
    rows, others = descriptor.embed_images(list(pictures[:24])), descriptor.embed_images(changed)
    if edit == "mirror":
        others = descriptor.embed_images([image[:, ::-1] for image in changed])
    assert float(np.median((rows * others).sum(axis=1))) > 0.4
