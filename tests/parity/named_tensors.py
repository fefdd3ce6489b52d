"""Weights and inputs as functions of their names, so that full models need no stored weights.

fill(name) draws from numpy's legacy RandomState (a frozen stream) seeded with crc32 of the name.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

HERE = Path(__file__).parent


def fill(name: str, shape: Sequence[int], std: float = 1.0, mean: float = 0.0) -> Tensor:
    """A normal tensor that depends on its name alone."""
    draws = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(tuple(shape))
    return torch.from_numpy((mean + std * draws).astype(np.float32))


def weights(shapes: Mapping[str, Sequence[int]], prefix: str) -> dict[str, Tensor]:
    """A state dict in official names."""
    return {name: fill(prefix + name, shape, *_spread(name)) for name, shape in shapes.items()}


def _spread(name: str) -> tuple[float, float]:
    """Standard deviation and mean of a parameter, by its name."""
    *path, last = name.split(".")
    if last == "gamma":
        return 0.2, 0.5
    if last == "weight_g" or (last == "weight" and path and path[-1].startswith("norm")):
        return 0.1, 1.0
    return (0.05, 0.0) if last == "bias" else (0.04, 0.0)


def images(name: str, count: int, height: int, width: int) -> Tensor:
    """A batch of images."""
    return fill("image/" + name, (count, 3, height, width))


def masks(name: str, count: int, patches: int) -> Tensor:
    """A batch of masks."""
    return fill("mask/" + name, (count, patches)) > 0.385320466


def fingerprint(tensor: Tensor) -> np.ndarray:
    """L2 norm, sum, and dot with cos(0.7 i + 0.3), in float64."""
    a = tensor.detach().double().numpy().ravel()
    return np.array([np.sqrt((a * a).sum()), a.sum(), (a * np.cos(0.7 * np.arange(a.size) + 0.3)).sum()])


def fingerprint_error(tensor: Tensor, expected: Sequence[float]) -> float:
    """Largest difference of the fingerprints, relative to the expected L2 norm."""
    return float(np.abs(fingerprint(tensor) - expected).max() / max(expected[0], 1e-6))


def numbers(name: str) -> Any:
    """A stored JSON file."""
    return json.loads((HERE / f"{name}.json").read_text())


def arrays(name: str) -> dict[str, Tensor]:
    """A stored npz file as tensors."""
    with np.load(HERE / f"{name}.npz") as stored:
        return {key: torch.from_numpy(stored[key]) for key in stored}
