"""Settings of the losses."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from contracts.config import StrictModel


class LossesSection(StrictModel):
    """Weights and targets of the losses. Source: DINOv2 section 4 and appendix B."""

    dino_weight: float = Field(1.0, ge=0, description="weight of the image loss")
    ibot_weight: float = Field(1.0, ge=0, description="weight of the masked patch loss")
    koleo_weight: float = Field(0.1, ge=0, description="weight of the uniformity loss on class tokens")
    student_temp: float = Field(0.1, gt=0, description="divides the student's logits")
    centering: Literal["sinkhorn_knopp", "centering"] = Field(
        "sinkhorn_knopp",
        description="how teacher logits become targets: balanced over the batch, or softmax around a running mean",
    )
