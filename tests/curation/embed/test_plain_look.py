"""The plain look: colours and blurred layout of a picture."""

from __future__ import annotations

import cv2
import numpy as np

from curation.embed import plain_look as module
from curation.embed.plain_look import QUANTILES, WAVES, plain_look


def noise(seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3)).astype(np.uint8)
    return cv2.resize(coarse, (64, 64), interpolation=cv2.INTER_CUBIC)


def test_quantiles_are_those_of_the_sorted_pixels() -> None:
    small = noise(1)
    ordered = np.sort(small.reshape(-1, 3), axis=0)
    expected = ordered[[round(q * (len(ordered) - 1)) for q in QUANTILES]].T.ravel()
    assert np.array_equal(module._quantiles(small), expected.astype(np.float32))


def test_a_mirrored_picture_looks_the_same_and_the_length_is_one() -> None:
    look = plain_look(noise(2))
    assert look.shape == (2 * WAVES,)
    assert np.isclose(np.linalg.norm(look), 1, atol=1e-5)
    assert np.allclose(plain_look(np.ascontiguousarray(noise(2)[:, ::-1])), look, atol=1e-5)


def test_other_colours_and_other_places_look_different() -> None:
    def dot(x: int, color: tuple[int, int, int]) -> np.ndarray:
        return cv2.circle(np.full((64, 64, 3), 255, np.uint8), (x, 20), 8, color, -1)

    one = plain_look(dot(12, (0, 0, 0)))
    assert one @ plain_look(dot(12, (8, 4, 6))) > 0.9
    assert one @ plain_look(dot(30, (0, 0, 0))) < 0.6
    assert one @ plain_look(dot(12, (200, 0, 0))) < 0.6
