"""How embeddings are computed: the `embed:` section of curate.yaml."""

from __future__ import annotations

from typing import Literal

from contracts.config import StrictModel
from pydantic import Field


class EmbedConfig(StrictModel):
    """Cost and placement of the embedding step; which model is used stands with the step that needs it."""

    part_rows: int = Field(
        4096, ge=1, le=1_000_000, description="images per stored part: the unit of resuming and retrying"
    )
    batch_images: int = Field(32, ge=1, le=65536, description="images given to a model at once")
    cpus_per_worker: float = Field(1.0, gt=0, description="CPU cores reserved for each embedding worker")
    gpus_per_worker: float = Field(0.0, ge=0, description="GPUs (a fraction is allowed) reserved for each worker")
    device: str = Field("auto", description="auto | cpu | cuda | cuda:N: where neural models run")
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        "float32", description="arithmetic of neural models; embeddings are stored as float16 in any case"
    )
    image_px: int | None = Field(
        None, ge=16, le=4096, description="input side in px of neural models (default: what the model's files say)"
    )
