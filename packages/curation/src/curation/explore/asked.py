"""What the page may send, checked at the door."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from contracts.config import StrictModel
from curation.explore.browse import Filter
from curation.select.overrides import NOTE_LENGTH

MOST_ANSWERS, MOST_KEYS, MOST_POINTS = 200, 100_000, 200_000
PICTURE_BYTES = 64 << 20


class WordsAsked(StrictModel):
    """Search by words."""

    words: str = Field(min_length=1, max_length=1000, description="what the pictures show")
    model: str = Field(default="", description="whose vectors; empty: the first that the workspace has")
    count: int = Field(default=60, ge=1, le=MOST_ANSWERS, description="images in the answer")


class DecisionAsked(StrictModel):
    """One decision over some images; `into` for `merge`."""

    action: Literal["keep", "drop", "merge", "split"] = Field(description="what is decided")
    keys: tuple[str, ...] = Field(min_length=1, max_length=MOST_KEYS, description="keys of images")
    into: str | None = Field(default=None, description="merge: an image of the group to join")
    note: str = Field(default="", max_length=NOTE_LENGTH, description="why, in a line")


class TakeBackAsked(StrictModel):
    """Decisions by hand to forget."""

    keys: tuple[str, ...] = Field(min_length=1, max_length=MOST_KEYS, description="keys of images")
    actions: tuple[Literal["keep", "drop", "merge", "split"], ...] = Field(
        default=("keep", "drop", "merge", "split"), description="which decisions over them"
    )


class FilterAsked(StrictModel):
    """Which images; see browse.Filter."""

    decision: str = Field(default="", description="kept or dropped")
    why: str = Field(default="", description="first words of the reason")
    source: str = Field(default="", description="a source of the pool")
    cluster: str = Field(default="", description="a cluster of the finest level")
    by_hand: bool = Field(default=False, description="only what was decided by hand")

    def plain(self) -> Filter:
        """As the view takes it."""
        return Filter(self.decision, self.why, self.source, self.cluster, self.by_hand)


class ExportAsked(StrictModel):
    """A file of the images with these keys, or of those that pass the filter."""

    form: Literal["parquet", "csv", "txt"] = Field(default="parquet", description="kind of file")
    keys: tuple[str, ...] = Field(default=(), max_length=MOST_KEYS, description="keys of images; none: the filter")
    filter: FilterAsked = Field(default=FilterAsked(), description="which images, where no keys are given")
