"""Settings of the optimiser and of the schedules."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from contracts.config import StrictModel


class OptimSection(StrictModel):
    """AdamW with a learning rate that follows the batch. Source: DINOv2 appendix B; official code."""

    lr: float = Field(4e-3, gt=0, description="peak learning rate, before it is scaled to the batch")
    lr_scaling: Literal["sqrt_wrt_1024", "linear_wrt_256", "none"] = Field(
        "sqrt_wrt_1024",
        description="how the learning rate follows images per step; at the number it is `lr`",
    )
    beta1: float = Field(0.9, ge=0, lt=1, description="decay of the gradient's mean")
    beta2: float = Field(0.999, ge=0, lt=1, description="decay of the gradient's mean square")
    layerwise_decay: float = Field(0.9, gt=0, le=1, description="learning rate factor per block, from the top down")
    patch_embed_lr_multiplier: float = Field(0.2, ge=0, description="learning rate factor of the patch projection")
    clip_norm: float = Field(3.0, gt=0, description="largest gradient norm of each of backbone and heads")


class SchedulesSection(StrictModel):
    """How the knobs move over the run. Lengths in optimiser steps."""

    for_steps: int | None = Field(
        None,
        ge=1,
        description="run length that the lengths below are written for: a run of another length scales them in "
        "proportion; none takes them as they stand",
    )
    warmup_steps: int = Field(12_500, ge=0, description="linear warm-up of the learning rate, steps")
    final_lr: float = Field(1e-6, ge=0, description="learning rate at the end of the cosine")
    weight_decay: float = Field(0.04, ge=0, description="weight decay at the start")
    final_weight_decay: float = Field(0.4, ge=0, description="weight decay at the end of the cosine")
    teacher_momentum: float = Field(0.992, ge=0, le=1, description="momentum of the teacher's average at the start")
    final_teacher_momentum: float = Field(1.0, ge=0, le=1, description="momentum at the end of the cosine")
    teacher_temp: float = Field(0.04, gt=0, description="teacher temperature at the start")
    final_teacher_temp: float = Field(0.07, gt=0, description="teacher temperature after its warm-up")
    teacher_temp_warmup_steps: int = Field(37_500, ge=0, description="linear warm-up of the teacher temperature, steps")
    freeze_last_layer_steps: int = Field(1250, ge=0, description="prototypes are not trained for so many steps")
