"""A recipe: steps of `curate` with their settings, in order. Recipes are data; see pipelines/lvd142m.yaml.

    name: lvd142m
    description: what it makes
    steps:
      - step: ingest
      - step: dedup
        settings: {threshold: 0.6, neighbors: 64}
      - step: retrieve
        seeds: [imagenet-22k]
        settings: {mode: sample, per_query: 4, as_is: true}
      - step: build

The settings of a step lie over its section of curate.yaml. Every step knows by itself what is done already, so running
a recipe again only does what is missing or has changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from contracts.config import StrictModel, load_config, plain_values, validate_config

Values = dict[str, Any]
Section = TypeVar("Section", bound=StrictModel)


class IngestStep(StrictModel):
    """Catalogue the pool."""

    step: Literal["ingest"] = Field(description="catalogue images")
    sources: tuple[str, ...] = Field((), description="what to catalogue (default: the sources of curate.yaml)")
    settings: Values = Field(default_factory=dict, description="over the ingest section of curate.yaml")


class FilterStep(StrictModel):
    """Drop what is too small, too long, blurred or empty."""

    step: Literal["filter"] = Field(description="filter images")
    settings: Values = Field(default_factory=dict, description="over the filters section of curate.yaml")


class EmbedStep(StrictModel):
    """Compute vectors ahead of the steps that need them."""

    step: Literal["embed"] = Field(description="compute embeddings")
    model: str | None = Field(None, description="embedder (default: that of the dedup section)")
    settings: Values = Field(default_factory=dict, description="over the embed section of curate.yaml")


class DedupStep(StrictModel):
    """Drop copies, and what resembles the references."""

    step: Literal["dedup"] = Field(description="remove duplicates")
    settings: Values = Field(default_factory=dict, description="over the dedup section of curate.yaml")


class RetrieveStep(StrictModel):
    """Bring what resembles seed sets."""

    step: Literal["retrieve"] = Field(description="retrieve by seed sets")
    seeds: tuple[str, ...] = Field(min_length=1, description="seed sets, by name, path or NAME=PATH")
    settings: Values = Field(default_factory=dict, description="over the retrieve section of curate.yaml")
    cluster: Values = Field(default_factory=dict, description="cluster mode: over the cluster section of curate.yaml")


class ClusterStep(StrictModel):
    """Cluster the pool, for curation without seed sets."""

    step: Literal["cluster"] = Field(description="hierarchical k-means of the pool")
    settings: Values = Field(default_factory=dict, description="over the cluster section of curate.yaml")


class SampleStep(StrictModel):
    """Draw a balanced sample of the clustered pool."""

    step: Literal["sample"] = Field(description="balanced sample of the clusters")
    images: int | None = Field(None, ge=1, description="size of the sample (default: a tenth of the pool)")
    settings: Values = Field(default_factory=dict, description="over the cluster section of curate.yaml")


class BuildStep(StrictModel):
    """Write the dataset folder."""

    step: Literal["build"] = Field(description="write the dataset")
    out: str | None = Field(None, description="dataset folder or s3:// address (default: the workspace's dataset)")
    settings: Values = Field(default_factory=dict, description="over the write section of curate.yaml")


Step = Annotated[
    IngestStep | FilterStep | EmbedStep | DedupStep | RetrieveStep | ClusterStep | SampleStep | BuildStep,
    Field(discriminator="step"),
]


class Recipe(StrictModel):
    """The steps of a curation."""

    name: str = Field(min_length=1, description="name of the recipe")
    description: str = Field("", description="what it makes, in a sentence")
    steps: tuple[Step, ...] = Field(min_length=1, description="steps in order")


def read_recipe(file: Path) -> Recipe:
    """Read and check a recipe. Errors: MissingInput, ConfigError in plain words."""
    return load_config(Recipe, file)


def with_settings(section: Section, over: Mapping[str, Any], where: str) -> Section:
    """A section of curate.yaml with a step's settings over it. Errors: ConfigError names the step and the setting."""
    if not over:
        return section
    return validate_config(type(section), {**plain_values(section), **over}, where=where)
