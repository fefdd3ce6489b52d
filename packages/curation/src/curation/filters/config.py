"""Which images are filtered out: the `filters:` section of curate.yaml."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from contracts.config import StrictModel


class Bounds(StrictModel):
    """The range of a value that is kept, ends included; a bound that is null does not filter."""

    min: float | None = Field(default=None, description="smaller values are filtered out")
    max: float | None = Field(default=None, description="larger values are filtered out")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}, so every image would be filtered out")
        return self


class FilterConfig(StrictModel):
    """Bounds of every filter. What is named here replaces both bounds of that filter: `blur: {}` turns it off."""

    short_side_px: Bounds = Field(default=Bounds(min=64), description="shorter side, px")
    long_side_px: Bounds = Field(default=Bounds(), description="longer side, px")
    aspect_ratio: Bounds = Field(default=Bounds(max=4), description="longer side / shorter side")
    blur: Bounds = Field(default=Bounds(min=20), description="variance of the Laplacian at 256 px; low is blurred")
    deviation: Bounds = Field(default=Bounds(min=5), description="standard deviation of brightness, grey levels")
    dominant_share: Bounds = Field(default=Bounds(max=0.97), description="share of the most frequent colour, 0 to 1")
    entropy: Bounds = Field(default=Bounds(min=1), description="entropy of the grey histogram, bits, 0 to 8")
    part_images: int = Field(default=4096, ge=1, le=1_000_000, description="images per part, the unit of resuming")
