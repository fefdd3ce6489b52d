"""What counts as a copy and which copy stays: the `dedup:` section of curate.yaml."""

from __future__ import annotations

from typing import Literal

from contracts.config import StrictModel
from curation.index.config import AutoIndex, IndexConfig
from pydantic import Field


class DedupConfig(StrictModel):
    """Thresholds are cosines of the embedder's unit vectors; unset ones are the embedder's own calibrated values."""

    model: str = Field(
        "descriptor", description="embedder: a name of the table, a Hugging Face folder or hub id, a TorchScript file, a run"
    )
    index: IndexConfig = Field(default_factory=AutoIndex, description="kind: faiss (chosen by size) | exact | ivf")
    threshold: float | None = Field(
        None, ge=-1, le=1, description="pairs above this cosine are copies (default: the embedder's; 0.6 for SSCD)"
    )
    neighbors: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description="keep only the k nearest of each image, as the paper does with 64 (default: every pair above the threshold)",
    )
    lowest_cosine: float | None = Field(
        None, ge=-1, le=1, description="pairs are written from this cosine up, for later sweeps (default: the lowest threshold)"
    )
    components: Literal["connected", "greedy", "mutual-knn"] = Field(
        "connected", description="how pairs become groups: connected components | greedy around kept images | mutual neighbours"
    )
    max_component: int | None = Field(
        None, ge=2, description="a larger group is split by raising its threshold until every part fits (default: no limit)"
    )
    against: tuple[str, ...] = Field(
        (), description="reference sets, by name or path, whose copies leave the pool (relative dedup)"
    )
    against_threshold: float | None = Field(
        None, ge=-1, le=1, description="pairs above this cosine tie the pool to a reference (default: the embedder's; 0.45 for SSCD)"
    )
    against_rule: Literal["component", "direct"] = Field(
        "component", description="drop every component that holds a reference image | only its direct neighbours"
    )
