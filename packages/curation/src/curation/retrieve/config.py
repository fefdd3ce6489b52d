"""What a seed set brings from the pool: the `retrieve:` section of curate.yaml."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from contracts.config import StrictModel
from curation.index.config import AutoIndex, IndexConfig


class RetrieveConfig(StrictModel):
    """Sample-based and cluster-based retrieval (DINOv2, section 3 and appendix A.4).

    Unset limits scale with the pool and reach the paper's numbers at the paper's size (744 M images): see
    `retrieve/scaled_limits.py`.
    """

    model: str = Field(
        "scene",
        description="embedder that says which pictures are alike: as for dedup, but for content, not for copies",
    )
    index: IndexConfig = Field(default_factory=AutoIndex, description="kind: faiss (chosen by size) | exact | ivf")
    mode: Literal["auto", "sample", "cluster", "none"] = Field(
        "auto",
        description="sample: nearest images of each query | cluster: from the clusters of the seed | none (as_is only)",
    )
    sample_above_images: int | None = Field(
        None,
        ge=0,
        description="auto: seeds with more images than this use sample mode (default: pool / 744, at most 1,000,000)",
    )
    as_is: bool = Field(False, description="the seed's own images join the dataset as they are")
    per_query: int = Field(
        4, ge=1, le=10_000, description="sample mode: pool images per seed image (paper: 4, and 32 for ImageNet-1k)"
    )
    collisions: Literal["keep", "replace", "drop"] = Field(
        "replace",
        description="an image that several queries want: keep a row for each | replace: the nearest query has it, the "
        "others take their next nearest | drop: the others get fewer",
    )
    replace_depth: int = Field(
        16, ge=1, le=1000, description="replace: how many times per_query neighbours a query may look at"
    )
    min_seed_images: int = Field(
        4, ge=1, description="cluster mode: clusters with at least this many seed images are used (paper: more than 3)"
    )
    per_cluster: int | None = Field(
        None, ge=1, description="cluster mode: images per cluster (default: 1.34 mean clusters, at most 10,000)"
    )
    max_per_seed: int | None = Field(
        None, ge=1, description="cluster mode: images per seed set (default: 100 times per_cluster, at most 1,000,000)"
    )
    draw: Literal["random", "nearest"] = Field(
        "random", description="cluster mode: which images of a cluster are taken, and which survive max_per_seed"
    )
    random_seed: int = Field(0, ge=0, description="seed of every random draw of retrieval")
    hub: bool = Field(True, description="a known seed set that is nowhere on disk is fetched from the Hugging Face hub")
