"""How the dataset folder is cut and written: the `write:` section of curate.yaml."""

from __future__ import annotations

from typing import Annotated, Any

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
    keep_shards: bool = Field(
        False,
        description="build on the dataset that is there: its shards stay as they are where their samples do, new ones "
        "get shards of their own; off: all samples are shuffled together, so that all shards change",
    )
    gather_above_bytes: int = Field(
        8 << 30,
        ge=0,
        description="image bytes in local tar archives up to which shards read them where they lie, at random; above, "
        "each archive is read once, straight ahead, into the order of the shards (0: always); the dataset is the same",
    )
    weights: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default_factory=dict,
        description="mixing weights by seed name, `pool` for the rest: shares of the dataset (default: everything)",
    )
    mix_seed: int = Field(0, ge=0, description="seed of the draw that mixing makes from parts that are too large")

    def told(self) -> dict[str, Any]:
        """The settings that the dataset's bytes depend on, JSON-ready."""
        return self.model_dump(mode="json", exclude={"gather_above_bytes"})
