"""How a pool is catalogued: the `ingest:` section of curate.yaml."""

from __future__ import annotations

from pydantic import Field

from contracts.config import StrictModel
from curation.decode.limits import DecodeLimits
from curation.sources.download.config import DownloadConfig


class IngestConfig(StrictModel):
    """Cost and limits of the ingest step."""

    part_images: int = Field(
        default=4096, ge=1, le=1_000_000, description="loose files or table rows per part, the unit of resuming"
    )
    limits: DecodeLimits = Field(default_factory=DecodeLimits, description="which images are accepted at all")
    download: DownloadConfig = Field(default_factory=DownloadConfig, description="tables of addresses")
