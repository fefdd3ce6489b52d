"""Fine detail: what tells two pages of one layout apart."""

from __future__ import annotations

import cv2
import numpy as np

from curation.embed.fine_detail import WIDTH, fine_detail


def lines(seed: int) -> np.ndarray:
    """Random short dashes in rows."""
    rng = np.random.default_rng(seed)
    page = np.full((128, 96, 3), 255, np.uint8)
    for y in range(8, 124, 6):
        for x in range(6, 90, 6):
            cv2.line(page, (x, y), (x + int(rng.integers(0, 5)), y), (30, 30, 30), 2)
    return page


def test_pages_differ_and_a_mirrored_one_does_not() -> None:
    one, other = fine_detail(lines(1)), fine_detail(lines(2))
    assert one.shape == (WIDTH,)
    assert np.isclose(np.linalg.norm(one), 1, atol=1e-5)
    assert abs(float(one @ other)) < 0.7
    assert float(one @ fine_detail(np.ascontiguousarray(lines(1)[:, ::-1]))) > 0.99


def test_one_colour_has_no_detail() -> None:
    assert not fine_detail(np.full((96, 96, 3), 90, np.uint8)).any()
