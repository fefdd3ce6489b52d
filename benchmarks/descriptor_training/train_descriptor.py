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
    """Shapes: even [N, F], odd [N, F'], picture int [N], weight [N]."""

    even: np.ndarray
    odd: np.ndarray
    picture: np.ndarray
    weight: np.ndarray


def sample_patches(number: int) -> np.ndarray:
    """Some patches of picture `number` and of its mirror image."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng([1, number])
    patches, _ = dense_patches(reduced(picture(rng)[1]))
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


def views_of(number: int, vocabulary: PatchVocabulary) -> tuple[np.ndarray, np.ndarray, float]:
    """Raw views of picture `number` and its copies, and its weight."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng([2, number])
    kind, image = picture(rng)
    chosen = rng.choice(len(EDITS), COPIES, replace=False)
    raw = [raw_view(one, vocabulary) for one in [image, *(EDITS[i](rng, image) for i in chosen)]]
    weight = ALIKE_WEIGHT if kind in ALIKE_KINDS else 1.0
    return np.stack([view.even for view in raw]), np.stack([view.odd for view in raw]), weight


def collect(pool: ProcessPoolExecutor, vocabulary: PatchVocabulary, pictures: int) -> Views:
    """Views of all pictures."""
    found = list(pool.map(partial(views_of, vocabulary=vocabulary), range(pictures), chunksize=10))
    numbers = np.repeat(np.arange(pictures), COPIES + 1)
    weights = np.array([weight for _, _, weight in found])[numbers]
    return Views(
        np.concatenate([even for even, _, _ in found]), np.concatenate([odd for _, odd, _ in found]), numbers, weights
    )


def discriminants(features: np.ndarray, numbers: np.ndarray, weight: np.ndarray, dims: int) -> np.ndarray:
    """Directions of most variance between pictures per total variance, scaled to unit total variance times the square
    root of that ratio, so that reliable directions weigh more. Shapes: centred [N, F] -> [F, D].
    """
    values = features.astype(np.float64)
    total = (values * weight[:, None]).T @ values / weight.sum()
    pictures = numbers.max() + 1
    means = np.zeros((pictures, values.shape[1]))
    np.add.at(means, numbers, values)
    count = np.bincount(numbers, minlength=pictures)
    means /= count[:, None]
    per_picture = np.bincount(numbers, weight, pictures) / count
    between = (means * per_picture[:, None]).T @ means / per_picture.sum()
    total += RIDGE * np.trace(total) / len(total) * np.eye(len(total))
    spread, turn = np.linalg.eigh(total)
    whiten = turn / np.sqrt(spread)
    ratio, directions = np.linalg.eigh(whiten.T @ between @ whiten)
    top = np.argsort(-ratio)[:dims]
    return whiten @ directions[:, top] * np.sqrt(ratio[top].clip(1e-3))


def train(pictures: int, workers: int) -> dict[str, np.ndarray]:
    """All weights, as float16."""
    with ProcessPoolExecutor(workers) as pool:
        vocabulary = train_vocabulary(pool)
        views = collect(pool, vocabulary, pictures)
    even_mean = np.average(views.even, axis=0, weights=views.weight)
    even = discriminants(views.even - even_mean, views.picture, views.weight, EVEN_DIMS)
    # A picture and its mirror image are equally likely, so odd coordinates have mean zero.
    both = np.concatenate([views.odd, -views.odd])
    numbers = np.concatenate([views.picture, views.picture + pictures])
    odd = discriminants(both, numbers, np.tile(views.weight, 2), ODD_DIMS)
    weights = {
        "patch_mean": vocabulary.mean,
        "patch_projection": vocabulary.projection,
        "words": vocabulary.words,
        "even_mean": even_mean,
        "even_projection": even,
        "odd_projection": odd,
    }
    return {name: array.astype(np.float16) for name, array in weights.items()}


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
