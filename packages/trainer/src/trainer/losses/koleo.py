"""KoLeo: spread features by pushing each away from its nearest neighbour in the batch.

Dimensions: B rows, D width.
Source: Sablayrolles et al. (arXiv 1806.03198), section 3.2; DINOv2 (arXiv 2304.07193), section 4.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.losses.across_ranks import gather_rows

EPS = 1e-8


def koleo_loss(x: Tensor, min_distance: float = 0.0, distributed: bool = False) -> Tensor:
    """Minus the mean log distance of every unit row to its nearest neighbour.

    Differs: computed in float32 whatever the input (in float16 the eps 1e-8 is zero and two equal rows give infinity).
    With `min_distance` > 0, closer pairs count as that distance and get no gradient, so that an image that occurs twice
    in a batch cannot drown the others; 0 is the official behaviour. `distributed` looks for neighbours on all ranks.
    Shapes: [B, D] -> scalar; both rows of a pair receive gradient.
    """
    with torch.autocast(x.device.type, enabled=False):
        rows = F.normalize(x.to(torch.promote_types(x.dtype, torch.float32)), dim=-1, eps=EPS)
        everyone, first = gather_rows(rows) if distributed else (rows, 0)
        neighbours = everyone[nearest_neighbours(rows.detach(), everyone.detach(), first)]
        distances = F.pairwise_distance(rows, neighbours, p=2.0, eps=EPS)
        return -torch.log(distances.clamp_min(min_distance) + EPS).mean()


def nearest_neighbours(rows: Tensor, everyone: Tensor, first: int) -> Tensor:
    """Index of the most similar other row. Shapes: [B, D], [E, D] -> [B]; row i of `rows` is row first + i of E."""
    similarity = rows @ everyone.T
    similarity[:, first : first + rows.shape[0]].fill_diagonal_(-1.0)
    return similarity.argmax(dim=1)
