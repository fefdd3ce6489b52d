"""Everything that curate.yaml may say. Each section stands beside the step that it configures."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from contracts.config import StrictModel
from curation.cluster.config import ClusterConfig
from curation.dedup.config import DedupConfig
from curation.embed.config import EmbedConfig
from curation.filters.config import FilterConfig
from curation.ingest.config import IngestConfig
from curation.retrieve.config import RetrieveConfig
from curation.write.config import WriteConfig


class EngineConfig(StrictModel):
    """Where the work runs."""

    kind: Literal["ray", "local"] = Field(
        default="ray", description="ray: all cores or a cluster | local: this process"
    )
    workers: int | None = Field(default=None, ge=1, description="parts worked on at once (default: all cores)")
    ray_address: str | None = Field(default=None, description="address of a Ray cluster (default: a Ray of its own)")


class CurateConfig(StrictModel):
    """The settings of a workspace. Relative paths are relative to the folder that curate is called in."""

    sources: tuple[str, ...] = Field(default=(), description="the pool: folders, tars, Parquet tables, file lists")
    seeds: dict[str, str] = Field(default_factory=dict, description="seed sets by name, for `curate retrieve --seed`")
    references: dict[str, str] = Field(
        default_factory=dict, description="reference sets by name, for `curate dedup --against`"
    )
    engine: EngineConfig = Field(default_factory=EngineConfig, description="where the work runs")
    ingest: IngestConfig = Field(default_factory=IngestConfig, description="cataloguing")
    filters: FilterConfig = Field(default_factory=FilterConfig, description="which images are filtered out")
    embed: EmbedConfig = Field(default_factory=EmbedConfig, description="embedding")
    dedup: DedupConfig = Field(default_factory=DedupConfig, description="what counts as a copy")
    retrieve: RetrieveConfig = Field(default_factory=RetrieveConfig, description="what a seed set brings")
    cluster: ClusterConfig = Field(default_factory=ClusterConfig, description="k-means of the pool")
    write: WriteConfig = Field(default_factory=WriteConfig, description="the dataset folder")
