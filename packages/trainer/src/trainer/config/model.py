"""Settings of the backbone and of the prototype heads."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from contracts.config import StrictModel


class RopeSection(StrictModel):
    """Rotary positions, used with position: rope. Source: DINOv3 (arXiv 2508.10104), section 3.2."""

    base: float = Field(100.0, gt=1, description="largest period over the smallest")
    shift: float = Field(0.0, ge=0, description="largest offset of coordinates in -1..1 in training; 0: none")
    jitter: float = Field(1.0, ge=1, description="largest factor of each axis in training; 1: none")
    rescale: float = Field(1.0, ge=1, description="largest factor of both axes in training; 1: none")


class ModelSection(StrictModel):
    """The backbone. Source: DINOv2 (arXiv 2304.07193), Table 16 and 17."""

    arch: str = Field("vits14", description="size and patch side in px, such as vits14, vitl16, vitn4")
    ffn: Literal["mlp", "swiglu"] | None = Field(None, description="feed-forward layer; none takes the size's own")
    registers: int = Field(0, ge=0, description="register tokens")
    layer_scale: float | None = Field(1e-5, gt=0, description="initial gain of every residual branch; none: no gains")
    drop_path_rate: float = Field(0.3, ge=0, lt=1, description="share of samples that a residual branch skips")
    drop_path_uniform: bool = Field(True, description="same rate in every block; false: grows linearly from 0")
    position: Literal["learned", "rope"] = Field("learned", description="position embedding")
    resampling: Literal["official", "official_registers", "huggingface", "timm"] = Field(
        "official", description="how a learned position table is resized to another grid"
    )
    rope: RopeSection = Field(RopeSection(), description="rotary positions")
    init_from: str | None = Field(
        None, description="run, model folder or hub id to start from; positions are resized to crops.global_px"
    )
    freeze_backbone_steps: int | None = Field(
        None,
        ge=0,
        description="steps for which only the heads are trained; none: a tenth of the run when init_from lacks "
        "a head of the asked shape, else 0",
    )
    attention: str = Field("sdpa", description="attention backend of the training step")


class HeadSection(StrictModel):
    """One prototype head: MLP, bottleneck, prototypes."""

    prototypes: int = Field(65536, ge=2, description="number of prototypes")
    hidden_dim: int = Field(2048, ge=1, description="width of the hidden layers")
    bottleneck_dim: int = Field(256, ge=1, description="width before the prototypes")
    layers: int = Field(3, ge=1, description="linear layers before the prototypes")
    mlp_bias: bool = Field(True, description="biases of the hidden layers")
    weight_norm: bool = Field(True, description="prototypes as length times direction, as DINOv2 does")


class HeadsSection(StrictModel):
    """Heads of the image loss (DINO, class token) and of the patch loss (iBOT)."""

    shared: bool = Field(False, description="one head for both losses: `dino` is used and `ibot` is ignored")
    dino: HeadSection = Field(HeadSection(), description="head of the class token")
    ibot: HeadSection = Field(HeadSection(), description="head of the patch tokens")
