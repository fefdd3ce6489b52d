"""The schema of a whole recipe. See pipelines/demo.yaml.

A recipe of `curate` alone (steps only) is run by `curate run`; this one goes on to pretraining and distillation.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from contracts.config import StrictModel, load_config

Values = dict[str, Any]


class DemoImages(StrictModel):
    """The built-in procedural image set."""

    images: int = Field(default=3000, ge=60, description="files in the pool")
    image_px: int = Field(default=64, ge=16, description="side of a picture, px")
    seed: int = Field(default=0, ge=0, description="seed of every random draw")


class Curation(StrictModel):
    """A recipe of `curate` (see curation recipes), written inline."""

    engine: str = Field(default="ray", description="ray | local")
    steps: list[Values] = Field(min_length=1, description="steps as in `curate run`")


class Training(StrictModel):
    """A run of `trainer pretrain` or `distill run`."""

    config: str = Field(description="preset or YAML file")
    students: list[str] = Field(default_factory=list, description="distillation: architectures of the students")
    steps: int | None = Field(default=None, ge=1, description="optimiser steps (default: those of the preset)")
    settings: list[str] = Field(default_factory=list, description="section.key=value over the preset")


class WholeRecipe(StrictModel):
    """From images to models. Relative paths are relative to the output folder."""

    name: str = Field(min_length=1, description="name of the recipe")
    description: str = Field(default="", description="what it shows")
    demo_images: DemoImages | None = Field(
        default=None, description="write the built-in images to images/{pool,seed,probe} first"
    )
    sources: list[str] = Field(min_length=1, description="the pool")
    seeds: dict[str, str] = Field(default_factory=dict, description="seed sets by name")
    references: dict[str, str] = Field(default_factory=dict, description="reference sets by name")
    curate: Curation = Field(description="the steps of curation")
    pretrain: Training = Field(description="pretraining on the dataset")
    distill: Training | None = Field(default=None, description="distillation from the pretrained run")
    probe_train: str | None = Field(default=None, description="labelled images that vote in the k-NN evaluation")
    probe_test: str | None = Field(default=None, description="labelled images that are classified")


def read_whole_recipe(file: Path, overrides: list[str]) -> WholeRecipe:
    """Read and check a whole recipe. Errors: MissingInput, ConfigError in plain words."""
    return load_config(WholeRecipe, file, overrides)
