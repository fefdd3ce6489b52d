"""Settings of how a run uses its devices; none of them changes what is computed, but for rounding."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from contracts.config import StrictModel


class DevicesSection(StrictModel):
    """How weights lie on several devices, and what is spared at the cost of what."""

    strategy: Literal["replicate", "shard"] = Field(
        "replicate",
        description="replicate: every rank holds all weights; shard: each rank holds its part of student, teacher and "
        "optimiser, and gathers a block when it needs it (FSDP2)",
    )
    recompute_blocks: bool = Field(
        False, description="compute each block again in the backward pass instead of keeping what it needs: less memory"
    )
    compile_blocks: bool = Field(
        False, description="compile each block with torch.compile: a slower start, faster steps"
    )
    peak_tflops: float | None = Field(
        None,
        gt=0,
        description="what a device can do at most in the run's precision, 10^12 operations per second, for MFU and the "
        "plan's time; none: by the name of the GPU",
    )
    max_restarts: int = Field(
        2,
        ge=0,
        description="times that --devices N and --nodes N start all ranks anew, from the last checkpoint, when one was "
        "lost",
    )
