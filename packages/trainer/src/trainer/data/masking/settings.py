"""Settings of block masking, with DINOv2's values as defaults."""

from __future__ import annotations

from pydantic import Field, model_validator

from contracts.config import StrictModel


class MaskingSettings(StrictModel):
    """How many patches of how many global crops are masked.

    Source: DINOv2 section 4; iBOT section 3.
    """

    probability: float = Field(
        default=0.5, ge=0, le=1, description="share of the global crops of a batch that get a mask"
    )
    ratio: tuple[float, float] = Field(
        default=(0.1, 0.5), description="masked share of a masked crop, spread over the batch"
    )
    exact_count: bool = Field(default=False, description="fill each mask at random to its exact count, as DINOv3 does")
    never_empty: bool = Field(default=True, description="a crop that should get a mask has at least one patch masked")

    @model_validator(mode="after")
    def _ratio_makes_sense(self) -> MaskingSettings:
        low, high = self.ratio
        if not 0 <= low <= high <= 1:
            raise ValueError("ratio must be two numbers in 0..1, the smaller first")
        return self
