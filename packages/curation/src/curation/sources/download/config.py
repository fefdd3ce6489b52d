"""How images are downloaded: the `ingest.download:` section of curate.yaml."""

from __future__ import annotations

from pydantic import Field

from contracts.config import StrictModel


class DownloadConfig(StrictModel):
    """Speed, patience and manners of downloading."""

    connections: int = Field(default=32, ge=1, le=1024, description="downloads at once, per worker")
    per_host: int = Field(default=4, ge=1, description="downloads at once from one host, per worker")
    tries: int = Field(default=3, ge=1, le=10, description="attempts per image while the failure may pass")
    wait_seconds: float = Field(default=1.0, ge=0, description="wait before the second attempt; doubled for each next")
    timeout_seconds: float = Field(default=20.0, gt=0, description="time for one attempt, redirects included")
    max_bytes: int = Field(default=32 << 20, ge=1, description="size above which a download is broken off")
    part_rows: int = Field(
        default=1000, ge=1, le=99_999, description="rows per file of downloads, the unit of resuming"
    )
    allow_private: bool = Field(
        default=False, description="also fetch from private, loopback and link-local addresses (a site's own server)"
    )
    check_sha256: bool = Field(
        default=True, description="refuse an image whose bytes differ from the table's sha256 column, if it has one"
    )
    disallowed_tags: tuple[str, ...] = Field(
        default=("noai", "noimageai", "noindex", "noimageindex"),
        description="X-Robots-Tag directives by which a server says no",
    )
    user_agent: str = Field(default="winnow-curate", min_length=1, description="name given to servers")
