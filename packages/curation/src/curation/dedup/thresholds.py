"""Cosines that a dedup run uses: what was asked, else what the embedder's authors or we measured for it."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.embedding_store import EmbeddingStore
from contracts.errors import UserError
from curation.dedup.config import DedupConfig


@dataclass(frozen=True)
class Thresholds:
    """`same`: above it two images are copies. `against`: above it an image is near a reference. `lowest`: pairs are
    written from it up."""

    same: float
    against: float
    lowest: float


def thresholds_of(settings: DedupConfig, store: EmbeddingStore, with_references: bool) -> Thresholds:
    """Asked values, else the embedder's own. Errors: UserError when nobody knows one."""
    same = _one("threshold", settings.threshold, store, "default_threshold")
    against = (
        _one("against-threshold", settings.against_threshold, store, "default_against_threshold")
        if with_references
        else same
    )
    asked = [settings.lowest_cosine] if settings.lowest_cosine is not None else []
    return Thresholds(same, against, min(same, against, *asked))


def _one(option: str, asked: float | None, store: EmbeddingStore, name: str) -> float:
    if asked is not None:
        return asked
    known = store.settings.get(name)
    if known is None:
        raise UserError(
            f"the model {store.model} has no measured threshold: give --{option} (the paper's for SSCD are "
            "0.6, and 0.45 against references)"
        )
    return float(known)
