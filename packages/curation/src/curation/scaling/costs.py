"""Measured costs of the steps, read from costs.yaml, which `benchmarks/step_costs.py` writes. Units: seconds, bytes."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from pydantic import Field

from contracts.config import StrictModel, load_config


class ImageCosts(StrictModel):
    """CPU seconds of one core for an image: a part that every image costs, one per megapixel, one per byte."""

    per_image: float = Field(default=0.0, description="seconds of any image")
    per_megapixel: float = Field(default=0.0, description="seconds of a megapixel")
    per_byte: float = Field(default=0.0, description="seconds of a byte of the file")

    def of(self, megapixels: float, image_bytes: float) -> float:
        """Seconds for an image."""
        return self.per_image + self.per_megapixel * megapixels + self.per_byte * image_bytes


class Costs(StrictModel):
    """What benchmarks/step_costs.py measured."""

    measured: str = Field(description="date")
    machine: str = Field(description="what it was measured on")
    ingest: ImageCosts = Field(description="reading, checking, hashing")
    embed: dict[str, ImageCosts] = Field(description="by model, reading and decoding included")
    join_flops: float = Field(description="floating point operations of the join in a second on one core")
    join_check: dict[int, dict[str, float]] = Field(
        description="by rows: seconds that join_flops foretells, and measured"
    )
    components_per_edge: float = Field(description="seconds of a near pair")
    build: ImageCosts = Field(description="gathering and writing shards")
    verify: ImageCosts = Field(description="reading every byte of the dataset")
    memory: dict[str, float] = Field(description="by step: resident bytes per image")
    memory_base: dict[str, float] = Field(description="by step: resident bytes without images")


@lru_cache(maxsize=1)
def measured_costs() -> Costs:
    """The costs of this version."""
    return load_config(Costs, Path(__file__).with_name("costs.yaml"), [])
