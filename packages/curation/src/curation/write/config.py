"""How the dataset folder is cut and written: the `write:` section of curate.yaml."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from contracts.config import StrictModel


class WriteConfig(StrictModel):
    """Shards are cut evenly: no shard holds more than one sample more than another."""

    shard_samples: int = Field(10_000, ge=1, description="samples per shard, at most")
    shard_bytes: int = Field(1_000_000_000, ge=1, description="image bytes per shard, about at most")
    shuffle_seed: int = Field(0, ge=0, description="seed of the order of the samples")
    record_uri: bool = Field(
        True, description="each sample's JSON says where its image was found; off: paths stay out of the dataset"
    )
    weights: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default_factory=dict,
        description="mixing weights by seed name, `pool` for the rest: shares of the dataset (default: everything)",
    )
    mix_seed: int = Field(0, ge=0, description="seed of the draw that mixing makes from parts that are too large")
