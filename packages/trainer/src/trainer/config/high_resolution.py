"""Settings of a last phase on larger crops."""

from __future__ import annotations

from pydantic import Field

from contracts.config import StrictModel


class HighResolutionSection(StrictModel):
    """A short phase after the run: larger crops, all schedules run through once more in fewer steps, a lower rate.

    Source: DINOv2 (arXiv 2304.07193), section 4 and appendix B.2 (10k iterations at 518 px). The paper gives no
    learning rate and no local crop.
    """

    steps: int = Field(10_000, ge=1, description="optimiser steps of the phase")
    global_px: int = Field(518, ge=4, description="side of a global crop, pixels")
    local_px: int = Field(98, ge=4, description="side of a local crop, pixels")
    batch_size: int | None = Field(None, ge=1, description="images per optimiser step; none: as before")
    lr: float = Field(5e-5, gt=0, description="peak learning rate, before it is scaled to the batch")
