"""Which images are accepted at all."""

from __future__ import annotations

from pydantic import Field

from contracts.config import StrictModel


class DecodeLimits(StrictModel):
    """Limits on size. They are checked on the header, before any pixel is decoded."""

    max_pixels: int = Field(
        default=178_956_970, ge=1, description="width * height above which an image is refused (Pillow's bomb limit)"
    )
    max_bytes: int = Field(default=256 << 20, ge=1, description="size of a file above which it is refused unread")
    min_side_px: int = Field(default=8, ge=1, description="shorter side below which an image is refused")
    max_aspect: float = Field(default=50.0, ge=1, description="longer side / shorter side above which it is refused")
