"""Vectors as points on a sheet: the two directions of largest variance, or UMAP where it is installed.

Dimensions: n points, D width.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.errors import UserError

Floats = NDArray[np.float32]
UMAP_NEIGHBORS, UMAP_DISTANCE, SEED = 15, 0.1, 0


def methods() -> list[str]:
    """What can be drawn here."""
    return ["pca", "umap"] if find_spec("umap") else ["pca"]


def project(vectors: Floats, method: str) -> Floats:
    """Points in the unit square, the same for the same vectors. Shapes: [n, D] -> [n, 2]. Errors: UserError."""
    if method == "umap" and "umap" not in methods():
        raise UserError("UMAP needs umap-learn, which is not installed: install winnow-curation[umap], or choose pca")
    if method not in ("pca", "umap"):
        raise UserError(f"{method!r} is no way to draw a map: choose pca or umap")
    if len(vectors) < 3:
        return np.full((len(vectors), 2), 0.5, np.float32)
    return _into_square(_pca(vectors) if method == "pca" else _umap(vectors))


def _pca(vectors: Floats) -> Floats:
    centred = vectors - vectors.mean(axis=0)
    _, directions = np.linalg.eigh(centred.T @ centred)
    two = directions[:, -1:-3:-1]
    sign = np.sign(two[np.abs(two).argmax(axis=0), range(2)])
    points: Floats = (centred @ (two * sign)).astype(np.float32)
    return points


def _umap(vectors: Floats) -> Floats:
    import umap

    neighbors = min(UMAP_NEIGHBORS, len(vectors) - 1)
    # One job: a seed and several would not give the same map twice, and umap warns of both.
    model: Any = umap.UMAP(n_neighbors=neighbors, min_dist=UMAP_DISTANCE, metric="cosine", random_state=SEED, n_jobs=1)
    return np.asarray(model.fit_transform(vectors), np.float32)


def _into_square(points: Floats) -> Floats:
    """Scaled alike in both directions; the outermost thousandth is moved to the edge."""
    low, high = np.quantile(points, [0.001, 0.999], axis=0)
    size = max(float((high - low).max()), 1e-9)
    middle = (low + high) / 2
    inside: Floats = np.clip((points - middle) / size + 0.5, 0, 1).astype(np.float32)
    return inside
