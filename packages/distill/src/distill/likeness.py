"""How alike two models see the same images: from their class tokens, of any two widths.

Dimensions: M images to learn from, Q to ask; D and E widths of the two models.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

FEWEST_IMAGES = 4


def mapped_cosine(x: Tensor, y: Tensor, test_x: Tensor, test_y: Tensor, ridge: float = 1e-2) -> float:
    """Mean cosine between the teacher's features and the best linear (ridge) prediction of them, on the test rows.

    Both sides are centered by the training mean, so a constant feature scores 0. A wide model without training scores
    well where the teacher's features are a smooth function of the pixels: read it beside random weights.
    Shapes: x [M, D], y [M, E], test_x [Q, D], test_y [Q, E].
    """
    mean_x, mean_y = x.double().mean(0), y.double().mean(0)
    a, b = x.double() - mean_x, y.double() - mean_y
    scale = a.pow(2).sum() / a.shape[1]
    gram = a.T @ a + ridge * scale.clamp_min(1e-12) * torch.eye(a.shape[1], dtype=torch.float64)
    predicted = (test_x.double() - mean_x) @ torch.linalg.solve(gram, a.T @ b)
    return float(F.cosine_similarity(predicted, test_y.double() - mean_y, dim=-1).mean())


def linear_cka(x: Tensor, y: Tensor) -> float:
    """Whether the same pairs of images are alike for both models: 1 for the same but for rotation and scale, about 0
    for unrelated ones. Nothing is fitted, and the estimate is not raised by wide features or few images.

    NaN with fewer than 4 images, and 0 where one side does not vary.
    Shapes: x [Q, D], y [Q, E].
    Source: linear CKA (arXiv 1905.00414), section 3, with the unbiased HSIC of Song et al. (JMLR 13, 2012), eq. 4.
    """
    if len(x) < FEWEST_IMAGES:
        return math.nan
    a, b = (side.double() - side.double().mean(0) for side in (x, y))
    spread = _hsic(a, a) * _hsic(b, b)
    return float(_hsic(a, b) / spread.sqrt()) if spread > 0 else 0.0


def _hsic(a: Tensor, b: Tensor) -> Tensor:
    """The unbiased estimate, up to the factor 1 / (Q (Q - 3)), of Gram matrices that are never written out."""
    count = len(a)
    own_a, own_b = a.pow(2).sum(1), b.pow(2).sum(1)
    rows_a, rows_b = a @ a.sum(0) - own_a, b @ b.sum(0) - own_b
    both = (a.T @ b).pow(2).sum() - own_a @ own_b
    means = rows_a.sum() * rows_b.sum() / ((count - 1) * (count - 2))
    return both + means - 2 / (count - 2) * (rows_a @ rows_b)
