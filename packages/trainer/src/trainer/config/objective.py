"""Settings of the losses."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from contracts.config import StrictModel


class GramSection(StrictModel):
    """Gram anchoring. Source: DINOv3 (arXiv 2508.10104), section 4."""

    weight: float = Field(2.0, ge=0, description="weight of the loss")
    start_step: int = Field(0, ge=0, description="the teacher of this step becomes the anchor, and the loss begins")
    refresh_every_steps: int = Field(10_000, ge=0, description="steps between two anchors; 0 keeps the first")
    max_refreshes: int = Field(3, ge=0, description="at most so many new anchors")
    enlarge: float = Field(1.0, ge=1, description="factor by which the anchor's crops are enlarged")


class LossesSection(StrictModel):
    """Weights and targets of the losses. Source: DINOv2 section 4 and appendix B."""

    dino_weight: float = Field(1.0, ge=0, description="weight of the image loss")
    ibot_weight: float = Field(1.0, ge=0, description="weight of the masked patch loss")
    koleo_weight: float = Field(0.1, ge=0, description="weight of the uniformity loss on class tokens")
    koleo_min_distance: float = Field(
        1e-4,
        ge=0,
        description="distance of unit vectors below which two images count as one seen twice and get no gradient; "
        "0 as the official code",
    )
    koleo_distributed: bool = Field(False, description="look for the nearest image on all ranks, not on each rank")
    student_temp: float = Field(0.1, gt=0, description="divides the student's logits")
    centering: Literal["sinkhorn_knopp", "centering"] = Field(
        "sinkhorn_knopp",
        description="how teacher logits become targets: balanced over the batch, or softmax around a running mean",
    )
    gram: GramSection | None = Field(None, description="hold patch similarities to an earlier teacher; none: off")
