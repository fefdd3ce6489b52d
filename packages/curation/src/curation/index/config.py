"""Which index joins and searches vectors: a tagged union, one member per kind."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from contracts.config import StrictModel


class AutoIndex(StrictModel):
    """The plan chooses between exact and ivf by the number of vectors; `faiss` is the name the commands show."""

    kind: Literal["faiss"] = "faiss"


class ExactIndex(StrictModel):
    """Every vector against every vector, in blocks."""

    kind: Literal["exact"] = "exact"


class IvfIndex(StrictModel):
    """Vectors in lists around Faiss-trained centroids; only vectors that share a list are compared."""

    kind: Literal["ivf"] = "ivf"
    lists: int | None = Field(default=None, ge=1, description="number of lists (default: from the number of vectors)")
    probes: int | None = Field(
        default=None, ge=1, description="lists a search looks into (default: from the number of lists)"
    )
    overlap: float | None = Field(
        default=None, ge=1, description="lists that a vector is in, on average, when all pairs are joined (default: 12)"
    )


IndexConfig = Annotated[AutoIndex | ExactIndex | IvfIndex, Field(discriminator="kind")]
