"""How embeddings are computed: the `embed:` section of curate.yaml."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from contracts.config import StrictModel


class EmbedConfig(StrictModel):
    """Cost and placement of the embedding step; which model is used stands with the step that needs it."""

    part_rows: int = Field(
        default=4096, ge=1, le=1_000_000, description="images per stored part: the unit of resuming and retrying"
    )
    batch_images: int = Field(default=32, ge=1, le=65536, description="images given to a model at once")
    cpus_per_worker: float = Field(default=1.0, gt=0, description="CPU cores reserved for each embedding worker")
    gpus_per_worker: float = Field(default=0.0, ge=0, description="GPUs, or a fraction of one, reserved per worker")
    device: str = Field(default="auto", description="auto | cpu | cuda | cuda:N: where neural models run")
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        default="float32", description="arithmetic of neural models; embeddings are stored as float16 in any case"
    )
    resize: Literal["model", "square", "short-side"] = Field(
        default="model",
        description="how neural models get their input: as the model's files say | squeezed square | short side",
    )
    image_px: int | None = Field(
        default=None,
        ge=16,
        le=4096,
        description="input side of neural models in px (default: what their files say)",
    )
    decode_threads: int | None = Field(
        default=None,
        ge=0,
        le=256,
        description="threads per worker that decode and resize ahead of the model; 0: none (default: the worker's "
        "cores, but none for a worker of one core without a GPU)",
    )

    @property
    def threads_ahead(self) -> int:
        """Decoding threads of a worker. A worker of one core has nothing to overlap unless a GPU does the rest."""
        if self.decode_threads is not None:
            return self.decode_threads
        cores = int(self.cpus_per_worker)
        return max(1, cores) if self.gpus_per_worker > 0 or self.device.startswith("cuda") or cores > 1 else 0
