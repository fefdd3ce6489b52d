"""Settings of the pictures that show what a model has learned so far."""

from __future__ import annotations

from pydantic import Field

from contracts.config import StrictModel


class PicturesSection(StrictModel):
    """Patch components, attention and nearest neighbours of a few images, for `trainer report` and TensorBoard."""

    every_steps: int = Field(
        0, ge=0, description="steps between two sets of pictures; one more at the start and the end; 0: none"
    )
    data: str | None = Field(None, description="images to look at, any source; none takes some of data.path")
    images: int = Field(6, ge=1, le=16, description="images whose patches, attention and neighbours are shown")
    gallery: int = Field(256, ge=0, le=4096, description="images among which neighbours are looked for; 0: none are")
    image_px: int | None = Field(
        None, ge=4, description="side of the shown images, px; none takes twice crops.global_px, at most 448"
    )
