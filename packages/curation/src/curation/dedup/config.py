"""What counts as a copy and which copy stays: the `dedup:` section of curate.yaml."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from contracts.config import StrictModel
from curation.index.config import AutoIndex, IndexConfig


class DedupConfig(StrictModel):
    """Thresholds are cosines of the embedder's unit vectors; unset ones are the embedder's own calibrated values."""

    model: str = Field(
        default="descriptor",
        description="embedder: a name of the table, a Hugging Face folder or hub id, a TorchScript file, a run",
    )
    prepass: Literal["none", "phash"] = Field(
        default="none",
        description="phash: pictures of one perceptual hash count as one before any is embedded, as in the paper",
    )
    index: IndexConfig = Field(default_factory=AutoIndex, description="kind: faiss (chosen by size) | exact | ivf")
    threshold: float | None = Field(
        default=None,
        ge=-1,
        le=1,
        description="copies lie above this cosine (default: the embedder's; 0.6 for SSCD)",
    )
    maybe_threshold: float | None = Field(
        default=None,
        ge=-1,
        le=1,
        description="kept images whose pair lies above this lower cosine may be the same: told, never dropped "
        "(default: none)",
    )
    neighbors: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="keep only pairs with one of the k nearest; the paper: 64 (default: all pairs above the threshold)",
    )
    lowest_cosine: float | None = Field(
        default=None,
        ge=-1,
        le=1,
        description="pairs are written from this cosine up, for later sweeps (default: the lowest threshold)",
    )
    components: Literal["connected", "greedy", "mutual-knn"] = Field(
        default="connected",
        description="how pairs become groups: connected components | greedy around kept images | mutual neighbours",
    )
    max_component: int | None = Field(
        default=None,
        ge=2,
        description="a larger group is split by raising its threshold until every part fits (default: no limit)",
    )
    against: tuple[str, ...] = Field(
        default=(), description="reference sets, by name or path, whose copies leave the pool (relative dedup)"
    )
    against_threshold: float | None = Field(
        default=None,
        ge=-1,
        le=1,
        description="pairs above this cosine tie the pool to a reference (default: the embedder's; 0.45 for SSCD)",
    )
    against_rule: Literal["component", "direct"] = Field(
        default="component",
        description="drop components that hold a reference image | only its direct neighbours",
    )
