"""Which images are filtered out: the `filters:` section of curate.yaml."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from contracts.config import StrictModel

# Names that mean something else in filters.parquet.
TAKEN_NAMES = frozenset({"key", "kept", "reason"})


class Bounds(StrictModel):
    """The range of a value that is kept, ends included; a bound that is null does not filter."""

    min: float | None = Field(default=None, description="smaller values are filtered out")
    max: float | None = Field(default=None, description="larger values are filtered out")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}, so every image would be filtered out")
        return self


class _ScoreFilter(StrictModel):
    """A value that a model gives, and the values that are filtered out."""

    name: str = Field(
        pattern=r"^[a-z][a-z0-9_-]{0,39}$", description="name of the value in reasons and in filters.parquet"
    )
    above: float | None = Field(default=None, description="larger values are filtered out")
    below: float | None = Field(default=None, description="smaller values are filtered out")

    @model_validator(mode="after")
    def _has_a_rule(self) -> Self:
        if self.above is None and self.below is None:
            raise ValueError(f"the filter {self.name!r} filters nothing: give `above` or `below`")
        return self

    @property
    def bounds(self) -> Bounds:
        """What is kept."""
        return Bounds(min=self.below, max=self.above)


class ClassifierFilter(_ScoreFilter):
    """A Hugging Face image classifier: the probability of one of its labels, or of several together."""

    model: str = Field(description="folder or hub id of a Hugging Face image classifier")
    label: str | tuple[str, ...] = Field(
        description="label whose probability is the value; of several, their sum (multi-label models: the largest)"
    )

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels as a tuple."""
        return (self.label,) if isinstance(self.label, str) else self.label


class HeadFilter(_ScoreFilter):
    """A linear head over stored embeddings, such as an aesthetic predictor over CLIP."""

    embeddings: str = Field(description="embedder whose stored vectors (of length 1) the head reads")
    head: str = Field(description="safetensors file with `weight` [outputs, width] and, if it has one, `bias`")
    output: int | None = Field(default=None, ge=0, description="which output is the value, if there are several")


def _kind(value: Any) -> str:
    """By what a filter is told to be a head: anything that only heads have."""
    given = value if isinstance(value, dict) else value.__dict__
    return "head" if "head" in given or "embeddings" in given else "classifier"


ModelFilter = Annotated[
    Annotated[ClassifierFilter, Tag("classifier")] | Annotated[HeadFilter, Tag("head")], Discriminator(_kind)
]


class FacesConfig(StrictModel):
    """Images of people: dropped by `curate filter`, or with their faces blurred by `curate build`."""

    mode: Literal["off", "drop", "blur"] = Field(
        default="off", description="off | drop: images with faces | blur: faces, in the bytes that the dataset gets"
    )
    model: str | None = Field(default=None, description="ONNX file of OpenCV's YuNet face detector")
    confidence: float = Field(default=0.8, ge=0.05, le=1, description="score from which a find is a face")
    allowed: int = Field(default=0, ge=0, description="mode drop: faces that an image may show")


class FilterConfig(StrictModel):
    """Bounds of every filter. What is named here replaces both bounds of that filter: `blur: {}` turns it off."""

    short_side_px: Bounds = Field(default=Bounds(min=64), description="shorter side, px")
    long_side_px: Bounds = Field(default=Bounds(), description="longer side, px")
    aspect_ratio: Bounds = Field(default=Bounds(max=4), description="longer side / shorter side")
    blur: Bounds = Field(default=Bounds(min=20), description="variance of the Laplacian at 256 px; low is blurred")
    deviation: Bounds = Field(default=Bounds(min=5), description="standard deviation of brightness, grey levels")
    dominant_share: Bounds = Field(default=Bounds(max=0.97), description="share of the most frequent colour, 0 to 1")
    entropy: Bounds = Field(default=Bounds(min=1), description="entropy of the grey histogram, bits, 0 to 8")
    models: tuple[ModelFilter, ...] = Field(default=(), description="filters by models, any number of them")
    faces: FacesConfig = Field(default_factory=FacesConfig, description="what becomes of images of people")
    part_images: int = Field(default=4096, ge=1, le=1_000_000, description="images per part, the unit of resuming")

    @model_validator(mode="after")
    def _names_are_free(self) -> Self:
        for name, count in Counter(model.name for model in self.models).items():
            if count > 1:
                raise ValueError(f"two filters are called {name!r}: give each its own name")
            if name in TAKEN_NAMES or name in type(self).model_fields:
                raise ValueError(f"{name!r} is the name of a built-in value: give the model filter another name")
        return self
