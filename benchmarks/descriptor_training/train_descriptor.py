"""Train the projections of the offline copy descriptor on procedural pictures and write its weights.

    cd benchmarks/descriptor_training
    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python train_descriptor.py --out copy_descriptor.npz

and copy the file beside packages/curation/src/curation/embed/copy_descriptor.py.

Each picture has some edited copies. Linear discriminants keep the directions in which pictures differ and their copies
do not. Deterministic for one version of NumPy, OpenCV and Faiss.

Dimensions: N views (pictures and copies), F raw features, D kept directions.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from edits import EDITS
from pictures import ALIKE_KINDS, picture

from curation.embed.copy_descriptor import raw_view
from curation.embed.dense_patches import MIRROR, dense_patches, reduced
from curation.embed.patch_words import PatchVocabulary
from curation.index.threads import load_faiss

COPIES = 5
WORDS, PATCH_WIDTH = 32, 24
EVEN_DIMS, ODD_DIMS = 160, 64
ALIKE_WEIGHT = 5.0
RIDGE = 0.03
PATCHES_PER_PICTURE, VOCABULARY_PICTURES = 150, 500


class Views(NamedTuple):
    """Shapes: even [N, F], odd [N, F'], picture int [N]; weight and layout (-1: none of its own) per picture."""

    even: np.ndarray
    odd: np.ndarray
    picture: np.ndarray
    weight: np.ndarray
    layout: np.ndarray


def sample_patches(number: int) -> np.ndarray:
    """Some patches of picture `number` and of its mirror image."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng([1, number])
    patches, _ = dense_patches(reduced(picture(rng).image))
    chosen = patches[rng.permutation(len(patches))[:PATCHES_PER_PICTURE]]
    return np.concatenate([chosen, chosen[:, MIRROR]])


def train_vocabulary(pool: ProcessPoolExecutor) -> PatchVocabulary:
    """Principal directions with the square root of their scale taken out, then k-means words."""
    patches = np.concatenate(list(pool.map(sample_patches, range(VOCABULARY_PICTURES), chunksize=10)))
    mean = patches.mean(axis=0)
    spread, directions = np.linalg.eigh(np.cov((patches - mean).T.astype(np.float64)))
    top = np.argsort(-spread)[:PATCH_WIDTH]
    projection = (directions[:, top] / spread[top] ** 0.25).astype(np.float32)
    points = ((patches - mean) @ projection).astype(np.float32)
    kmeans = load_faiss(1).Kmeans(PATCH_WIDTH, WORDS, niter=25, seed=7, max_points_per_centroid=len(points))
    kmeans.train(points)
    # float16 on disk: train on what will be read.
    return PatchVocabulary(*(a.astype(np.float16).astype(np.float32) for a in (mean, projection, kmeans.centroids)))


def views_of(number: int, vocabulary: PatchVocabulary) -> tuple[np.ndarray, np.ndarray, float, str | None]:
    """Raw views of picture `number` and its copies, its weight and its layout."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng([2, number])
    made = picture(rng)
    chosen = rng.choice(len(EDITS), COPIES, replace=False)
    raw = [raw_view(one, vocabulary) for one in [made.image, *(EDITS[i](rng, made.image) for i in chosen)]]
    weight = ALIKE_WEIGHT if made.kind in ALIKE_KINDS else 1.0
    return np.stack([view.even for view in raw]), np.stack([view.odd for view in raw]), weight, made.layout


def collect(pool: ProcessPoolExecutor, vocabulary: PatchVocabulary, pictures: int) -> Views:
    """Views of all pictures."""
    found = list(pool.map(partial(views_of, vocabulary=vocabulary), range(pictures), chunksize=10))
    numbers: dict[str | None, int] = {None: -1}
    layouts = [numbers.setdefault(layout, len(numbers) - 1) for _, _, _, layout in found]
    return Views(
        np.concatenate([even for even, _, _, _ in found]),
        np.concatenate([odd for _, odd, _, _ in found]),
        np.repeat(np.arange(pictures), COPIES + 1),
        np.array([weight for _, _, weight, _ in found]),
        np.array(layouts),
    )


def discriminants(features: np.ndarray, views: Views, dims: int) -> np.ndarray:
    """Directions of most variance between pictures per total variance, scaled to unit total variance times the square
    root of that ratio, so that reliable directions weigh more. Shapes: centred [N, F] -> [F, D].

    Pictures of one layout are measured from the mean of their layout: what it gives them counts as noise.
    """
    values, weight = features.astype(np.float64), views.weight[views.picture]
    total = (values * weight[:, None]).T @ values / weight.sum()
    means = _means(values, views.picture, len(views.weight))
    shared = views.layout >= 0
    means[shared] -= _means(means[shared], views.layout[shared], views.layout.max() + 1)[views.layout[shared]]
    between = (means * views.weight[:, None]).T @ means / views.weight.sum()
    total += RIDGE * np.trace(total) / len(total) * np.eye(len(total))
    spread, turn = np.linalg.eigh(total)
    whiten = turn / np.sqrt(spread)
    ratio, directions = np.linalg.eigh(whiten.T @ between @ whiten)
    top = np.argsort(-ratio)[:dims]
    return whiten @ directions[:, top] * np.sqrt(ratio[top].clip(1e-3))


def _means(values: np.ndarray, groups: np.ndarray, count: int) -> np.ndarray:
    """Mean of every group. Shapes: [N, F], [N] -> [count, F]."""
    sums = np.zeros((count, values.shape[1]))
    np.add.at(sums, groups, values)
    return sums / np.maximum(np.bincount(groups, minlength=count), 1)[:, None]


def train(pictures: int, workers: int) -> dict[str, np.ndarray]:
    """All weights, as float16."""
    with ProcessPoolExecutor(workers) as pool:
        vocabulary = train_vocabulary(pool)
        views = collect(pool, vocabulary, pictures)
    even_mean = np.average(views.even, axis=0, weights=views.weight[views.picture])
    even = discriminants(views.even - even_mean, views, EVEN_DIMS)
    odd = discriminants(*_both_sides(views), ODD_DIMS)
    weights = {
        "patch_mean": vocabulary.mean,
        "patch_projection": vocabulary.projection,
        "words": vocabulary.words,
        "even_mean": even_mean,
        "even_projection": even,
        "odd_projection": odd,
    }
    return {name: array.astype(np.float16) for name, array in weights.items()}


def _both_sides(views: Views) -> tuple[np.ndarray, Views]:
    """The odd features of every view and of its mirror image, each side a picture (and a layout) of its own."""
    pictures, layouts = len(views.weight), int(views.layout.max()) + 1
    other = np.where(views.layout >= 0, views.layout + layouts, -1)
    doubled = views._replace(
        picture=np.concatenate([views.picture, views.picture + pictures]),
        weight=np.tile(views.weight, 2),
        layout=np.concatenate([views.layout, other]),
    )
    return np.concatenate([views.odd, -views.odd]), doubled


def main() -> None:
    """Train and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=1500)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    started = time.time()
    weights = train(asked.pictures, asked.workers)
    np.savez_compressed(asked.out, **weights)
    sys.stderr.write(f"{asked.out}: {asked.out.stat().st_size / 1024:.0f} KiB in {time.time() - started:.0f} s\n")


if __name__ == "__main__":
    main()
