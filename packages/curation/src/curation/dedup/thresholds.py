"""Cosines that a dedup run uses: what was asked, else what the embedder's authors or we measured for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contracts.errors import UserError
from curation.dedup.config import DedupConfig


@dataclass(frozen=True)
class Thresholds:
    """`same`: above it two images are copies. `against`: above it an image is near a reference. `maybe`: above it two
    kept images may be the same. `lowest`: pairs are written from it up."""

    same: float
    against: float
    lowest: float
    maybe: float | None = None


def thresholds_of(settings: DedupConfig, model: str, known: Mapping[str, Any], with_references: bool) -> Thresholds:
    """Asked values, else the model's own, which `known` has by name.

    Errors: UserError when nobody knows one, or when "may be the same" is not below "the same".
    """
    same = _one("threshold", settings.threshold, model, known.get("default_threshold"))
    against = (
        _one("against-threshold", settings.against_threshold, model, known.get("default_against_threshold"))
        if with_references
        else same
    )
    maybe = settings.maybe_threshold
    if maybe is not None and maybe >= same:
        raise UserError(
            f"pairs that may be the same lie below those that are: maybe-threshold {maybe:g} is not below the "
            f"threshold {same:g}; lower it or leave it out"
        )
    asked = [value for value in (settings.lowest_cosine, maybe) if value is not None]
    return Thresholds(same, against, min(same, against, *asked), maybe)


def _one(option: str, asked: float | None, model: str, known: Any) -> float:
    if asked is not None:
        return asked
    if known is None:
        raise UserError(
            f"the model {model} has no measured threshold: give --{option} (the paper's for SSCD are "
            "0.6, and 0.45 against references)"
        )
    return float(known)
