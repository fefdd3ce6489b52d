"""Instance retrieval on labelled images: mean average precision of ranking a database by cosine.

Dimensions: M database rows, Q queries, D width.
Source: the mAP of Philbin et al. (CVPR 2007), with images of the query's class as the relevant ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from contracts.errors import MissingInput

CHUNK_ELEMENTS = 2**24
"""Similarities that are sorted at a time."""


@dataclass(frozen=True)
class RetrievalScore:
    """Mean average precision over the queries that have a relevant image, the share whose first result is relevant,
    and how many queries these are."""

    mean_average_precision: float
    precision_at_1: float
    queries: int


def retrieval_score(
    database: tuple[Tensor, Tensor], queries: tuple[Tensor, Tensor], chunk_elements: int = CHUNK_ELEMENTS
) -> RetrievalScore:
    """Rank the whole database for every query.

    Average precision = mean over the relevant images of the precision at their rank. Queries of a class that the
    database lacks are left out.
    Shapes: (features [M or Q, D], labels [M or Q]). Errors: MissingInput without labels or without a relevant image.
    """
    (bank, bank_labels), (asked, labels) = database, queries
    if bool((bank_labels < 0).any()) or bool((labels < 0).any()):
        raise MissingInput("retrieval needs a class for every image: use class folders, a labelled list or labels")
    bank, asked = F.normalize(bank.float(), dim=-1), F.normalize(asked.float(), dim=-1)
    precisions, firsts = [], []
    rows = max(chunk_elements // max(len(bank), 1), 1)
    for start in range(0, len(asked), rows):
        chunk = slice(start, start + rows)
        order = (asked[chunk] @ bank.T).argsort(dim=1, descending=True, stable=True)
        relevant = bank_labels[order] == labels[chunk, None]
        known = relevant.any(1)
        precisions.append(average_precision(relevant[known]))
        firsts.append(relevant[known, 0].float())
    found = torch.cat(precisions) if precisions else torch.empty(0)
    if not len(found):
        raise MissingInput("no query has an image of its class in the database: retrieval needs common classes")
    return RetrievalScore(float(found.mean()), float(torch.cat(firsts).mean()), len(found))


def average_precision(relevant: Tensor) -> Tensor:
    """Average precision of ranked lists. Shapes: bool [Q, M], best first, at least one True a row -> [Q]."""
    hits = relevant.cumsum(1)
    ranks = torch.arange(1, relevant.shape[1] + 1, device=relevant.device)
    return ((hits / ranks) * relevant).sum(1) / hits[:, -1]
