"""Maps of vectors: what is alike lies together, the same vectors give the same map."""

from __future__ import annotations

import numpy as np
import pytest

from contracts.errors import UserError
from curation.explore.projection import methods, project


def three_heaps(each: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors around three directions, and which one each is around."""
    rng = np.random.default_rng(0)
    middles = np.repeat(rng.standard_normal((3, 32)), each, axis=0)
    vectors = middles + 0.3 * rng.standard_normal(middles.shape)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), np.repeat(np.arange(3), each)


@pytest.mark.parametrize("method", ["pca", "umap"])
def test_heaps_stay_apart_inside_the_unit_square(method: str) -> None:
    if method == "umap":
        pytest.importorskip("umap")
    vectors, heap = three_heaps()
    points = project(vectors, method)
    assert points.shape == (180, 2) and points.min() >= 0 and points.max() <= 1
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    assert (heap[distances.argmin(axis=1)] == heap).mean() > 0.97
    assert np.array_equal(points, project(vectors, method))


def test_a_way_that_is_not_there_is_named() -> None:
    vectors, _ = three_heaps(4)
    with pytest.raises(UserError, match="choose pca or umap"):
        project(vectors, "tsne")
    if "umap" not in methods():
        with pytest.raises(UserError, match=r"winnow-curation\[umap\]"):
            project(vectors, "umap")
    assert np.array_equal(project(vectors[:2], "pca"), np.full((2, 2), 0.5))
