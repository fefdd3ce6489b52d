"""Patch tokens as colours: their first three principal components over all shown images together.

Dimensions: P images, N = h * h patches, D width.
Source: DINOv2 (arXiv 2304.07193), section 7.5; without its split into foreground and background.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

COLOURS = 3
CUT_SHARE = 0.02
"""Share of the values at either end that is cut off, so that a few patches do not make all others grey."""


def patch_colours(patches: Tensor, before: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """The first component is red, the second green, the third blue; like patches have like colours in all images.

    The sign of a component means nothing: it is chosen to agree with the colours `before`, if there are any.
    Shapes: [P, N, D] -> uint8 [P, h, h, 3].
    """
    P, N, _ = patches.shape
    side = round(N**0.5)
    rows = patches.flatten(0, 1).double().cpu()
    centred = torch.nan_to_num(rows - rows.mean(0))
    _, vectors = torch.linalg.eigh(centred.T @ centred)
    values = centred @ vectors.flip(1)[:, :COLOURS]
    values = torch.nn.functional.pad(values, (0, COLOURS - values.shape[1]))
    values = values * _signs(values, before)
    low, high = (torch.quantile(values, share, dim=0) for share in (CUT_SHARE, 1 - CUT_SHARE))
    scaled = ((values - low) / (high - low).clamp_min(1e-12)).clamp(0, 1)
    return (scaled * 255).round().to(torch.uint8).view(P, side, side, COLOURS).numpy()


def _signs(values: Tensor, before: NDArray[np.uint8] | None) -> Tensor:
    """Shapes: [P * N, 3] -> [3], each 1 or -1."""
    if before is not None and before.size == values.numel():
        wanted = torch.from_numpy(before.reshape(-1, COLOURS).astype(np.float64))
        agreement = (values * (wanted - wanted.mean(0))).sum(0)
    else:
        agreement = values.pow(3).sum(0)
    return torch.where(agreement < 0, -1.0, 1.0).double()
