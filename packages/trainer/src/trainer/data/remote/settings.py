"""Settings of reading from object stores and web servers; none of them changes which images are met."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from contracts.config import StrictModel

GIB = 1 << 30
SHUFFLE_SHARDS = 8


class RemoteSettings(StrictModel):
    """Where local copies lie, how many of them, and how patient a reader is."""

    cache_folder: str | None = Field(
        None, description="folder for local copies of what is read from far away; none takes ~/.cache/winnow/shards"
    )
    cache_gib: float = Field(
        20.0, gt=0, description="most space those copies take, GiB; those not used for longest make room"
    )
    tries: int = Field(6, ge=1, description="attempts in a row that may fail before a run stops")
    wait_seconds: float = Field(
        1.0, ge=0, description="wait before the second attempt, seconds; doubled for each next, at most 60"
    )
    timeout_seconds: float = Field(60.0, gt=0, description="wait for a web server's next bytes, seconds")
    allow_private: bool = Field(
        False, description="read http(s) addresses of private, loopback and link-local hosts too (a site's own server)"
    )

    def folder(self) -> Path:
        """The cache folder."""
        return Path(self.cache_folder or "~/.cache/winnow/shards").expanduser()

    def limit_bytes(self) -> int:
        """Most bytes of the cache folder."""
        return int(self.cache_gib * GIB)
