"""How a pool is catalogued: the `ingest:` section of curate.yaml."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from contracts.config import StrictModel
from curation.decode.limits import DecodeLimits
from curation.sources.download.config import DownloadConfig


class IngestConfig(StrictModel):
    """Cost and limits of the ingest step."""

    part_images: int = Field(
        default=4096, ge=1, le=1_000_000, description="loose files or table rows per part, the unit of resuming"
    )
    subsets: dict[str, str] = Field(
        default_factory=dict,
        description="DataComp subset files by source: of that source only the images whose uid the file names",
    )
    limits: DecodeLimits = Field(default_factory=DecodeLimits, description="which images are accepted at all")
    download: DownloadConfig = Field(default_factory=DownloadConfig, description="tables of addresses")

    def subset_of(self, source: str) -> str | None:
        """The subset file of a source; local paths are compared as absolute ones."""
        return {_absolute(name): file for name, file in self.subsets.items()}.get(_absolute(source))


def _absolute(source: str) -> str:
    return source if "://" in source else str(Path(source).expanduser().absolute())
