"""The offline copy descriptor finds edited copies at its own threshold and keeps distinct pictures apart."""

from __future__ import annotations

import io
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import Image

from curation.embed.copy_descriptor import CopyDescriptor
from curation.index.mirror_cosine import cosine_block, mirrored


def picture(seed: int, width: int = 320, height: int = 240) -> np.ndarray:
    """A picture with structure at many scales: smooth noise, shapes and fine texture."""
    rng = np.random.default_rng(seed)
    image = np.zeros((height, width, 3), np.float32)
    for cells in (3, 7, 15, 40):
        noise = rng.standard_normal((cells, cells, 3)).astype(np.float32)
        image += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC) * (60 / cells**0.5)
    image += 128
    for _ in range(6):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        color = tuple(float(value) for value in rng.integers(0, 255, 3))
        cv2.circle(image, (x, y), int(rng.integers(10, 60)), color, -1)
    return image.clip(0, 255).astype(np.uint8)


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    data = io.BytesIO()
    Image.fromarray(image).save(data, "JPEG", quality=quality)
    return np.asarray(Image.open(data).convert("RGB"))


EDITS = {
    "jpeg": lambda image: jpeg(image, 20),
    "half size": lambda image: cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "double size": lambda image: cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC),
    "other aspect": lambda image: cv2.resize(image, None, fx=1.3, fy=0.8),
    "grey": lambda image: np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2),
    "brighter": lambda image: (image * 1.3).clip(0, 255).astype(np.uint8),
    "blurred": lambda image: cv2.GaussianBlur(image, (0, 0), 2.5),
    "mirrored": lambda image: np.ascontiguousarray(image[:, ::-1]),
    "small logo": lambda image: cv2.rectangle(image.copy(), (20, 20), (60, 60), (255, 220, 0), -1),
}


@pytest.mark.parametrize("edit", sorted(EDITS))
def test_an_edited_copy_is_found_at_the_default_threshold(edit: str) -> None:
    descriptor = CopyDescriptor()
    originals = [picture(seed) for seed in range(12)]
    vectors = descriptor.embed_images(originals)
    copies = descriptor.embed_images([EDITS[edit](image) for image in originals])
    cosines = cosine_block(vectors, copies, descriptor.odd_dims)
    assert np.diag(cosines).min() > descriptor.default_threshold
    assert cosines[~np.eye(12, dtype=bool)].max() < descriptor.default_against_threshold


def test_without_mirroring_a_mirrored_copy_would_be_missed() -> None:
    descriptor = CopyDescriptor()
    image = picture(1)
    a, b = descriptor.embed_images([image, np.ascontiguousarray(image[:, ::-1])])
    assert (
        float(a @ b) < descriptor.default_threshold < float(cosine_block(a[None], b[None], descriptor.odd_dims)[0, 0])
    )


def test_rows_are_unit_length_and_one_colour_pictures_are_told_apart() -> None:
    descriptor = CopyDescriptor()
    flat = [np.full((40, 60, 3), value, np.uint8) for value in ((255, 255, 255), (0, 0, 0), (200, 30, 30))]
    vectors = descriptor.embed_images([*flat, flat[2].copy(), picture(3)])
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    cosines = cosine_block(vectors, vectors, descriptor.odd_dims)
    assert cosines[2, 3] > 0.999
    assert max(cosines[0, 1], cosines[0, 2], cosines[1, 2], cosines[2, 4]) < descriptor.default_threshold


def test_gradients_of_one_direction_and_other_colours_are_not_copies() -> None:
    ramp = np.linspace(0, 1, 300)[None, :, None]
    ends = [((255, 0, 0), (0, 0, 255)), ((10, 200, 30), (250, 250, 250)), ((0, 0, 0), (90, 80, 200))]
    pictures = [
        (np.array(a) + ramp * (np.array(b) - np.array(a))).repeat(200, axis=0).astype(np.uint8) for a, b in ends
    ]
    descriptor = CopyDescriptor()
    vectors = descriptor.embed_images(pictures)
    cosines = cosine_block(vectors, vectors, descriptor.odd_dims)
    assert cosines[np.triu_indices(3, 1)].max() < descriptor.default_threshold


def icon(number: int, size: int = 120) -> np.ndarray:
    """A black letter on white."""
    image = np.full((size, size, 3), 255, np.uint8)
    place = (int(size * 0.3), int(size * 0.7))
    cv2.putText(image, "AEHKMRSXZ2478"[number], place, cv2.FONT_HERSHEY_SIMPLEX, size / 60, (0, 0, 0), size // 20)
    return image


def shape(number: int) -> np.ndarray:
    """One small shape on white, each of its own place and colour."""
    rng = np.random.default_rng(number)
    image = np.full((400, 500, 3), 255, np.uint8)
    place, color = (int(rng.integers(40, 460)), int(rng.integers(40, 360))), tuple(map(int, rng.integers(0, 220, 3)))
    return cv2.ellipse(image, place, (30, 18), float(rng.integers(180)), 0, 200, color, -1)


@pytest.mark.parametrize("draw", [icon, shape])
def test_small_things_on_white_are_not_copies_and_their_copies_are(draw: Callable[[int], np.ndarray]) -> None:
    descriptor = CopyDescriptor()
    drawn = [draw(number) for number in range(13)]
    vectors = descriptor.embed_images(drawn)
    cosines = cosine_block(vectors, vectors, descriptor.odd_dims)
    assert cosines[np.triu_indices(13, 1)].max() < descriptor.default_threshold
    again = descriptor.embed_images([jpeg(one, 60) for one in drawn])
    assert np.diag(cosine_block(vectors, again, descriptor.odd_dims)).min() > descriptor.default_threshold


def test_vectors_do_not_depend_on_the_batch() -> None:
    descriptor = CopyDescriptor()
    images = [picture(seed) for seed in range(5)]
    together = descriptor.embed_images(images)
    assert np.array_equal(together, np.concatenate([descriptor.embed_images([image]) for image in images]))


def page(seed: int) -> np.ndarray:
    """A page of text; every seed has the same layout and other letters."""
    rng = np.random.default_rng(seed)
    image = np.full((640, 480, 3), 255, np.uint8)
    for y in range(40, 620, 16):
        letters = "".join(chr(97 + int(i)) if i < 26 else " " for i in rng.integers(0, 30, 55))
        cv2.putText(image, letters, (30, y), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (20, 20, 20), 1, cv2.LINE_AA)
    return image


def test_pages_of_one_layout_are_not_copies_and_their_copies_are() -> None:
    descriptor = CopyDescriptor()
    pages = [page(seed) for seed in range(12)]
    vectors = descriptor.embed_images(pages)
    cosines = cosine_block(vectors, vectors, descriptor.odd_dims)
    assert cosines[np.triu_indices(12, 1)].max() < descriptor.default_threshold
    again = descriptor.embed_images([jpeg(one, 40) for one in pages])
    assert np.diag(cosine_block(vectors, again, descriptor.odd_dims)).min() > descriptor.default_threshold


def test_mirroring_a_picture_negates_the_odd_coordinates_and_keeps_the_others() -> None:
    descriptor = CopyDescriptor()
    image = cv2.resize(picture(5), (128, 96), interpolation=cv2.INTER_AREA)
    one, other = descriptor.embed_images([image, np.ascontiguousarray(image[:, ::-1])])
    assert np.abs(mirrored(one[None], descriptor.odd_dims)[0] - other).max() < 0.02
    assert np.linalg.norm(one[-descriptor.odd_dims :]) > 0.1


def test_a_crop_is_nearer_to_its_picture_than_any_other_picture() -> None:
    descriptor = CopyDescriptor()
    images = [picture(seed) for seed in range(30)]
    crops = [image[20:220, 30:300] for image in images]
    cosines = cosine_block(descriptor.embed_images(crops), descriptor.embed_images(images), descriptor.odd_dims)
    assert (cosines.argmax(axis=1) == np.arange(30)).all()
