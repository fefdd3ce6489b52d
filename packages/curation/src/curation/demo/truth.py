"""What was planted: the truth that a report holds its findings against."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from contracts.config import StrictModel, validate_config
from contracts.errors import BrokenArtifact, UserError
from contracts.publish import read_json

TRUTH_FILE = "truth.json"
# Raised whenever the same settings give other pictures.
VERSION = 1


class PlantedCopy(StrictModel):
    """A file of the pool that repeats another one. Paths are relative to the pool."""

    original: str = Field(description="the file it was made from")
    edit: str = Field(description="what was done to it; 'none' for the same bytes")


class DemoTruth(StrictModel):
    """Settings of the generator and everything it knows about its files. Paths are relative to their folder."""

    version: int = Field(VERSION, description="of the generator")
    seed: int = Field(ge=0, description="of every random draw")
    images: int = Field(ge=1, description="files in the pool")
    image_px: int = Field(ge=1, description="side of an unedited picture, px")
    kinds: tuple[str, ...] = Field(description="classes of the probe set")
    on_topic: dict[str, str] = Field(description="pool file -> class; copies not included")
    off_topic: dict[str, str] = Field(description="pool file -> what it shows instead")
    exact_copies: dict[str, PlantedCopy] = Field(description="pool file -> original with the same bytes")
    edited_copies: dict[str, PlantedCopy] = Field(description="pool file -> original it was edited from")
    broken: dict[str, str] = Field(description="pool file -> what is wrong with it")
    seed_images: int = Field(description="files in the seed folder")
    probe_train_images: int = Field(description="labelled images that vote")
    probe_test_images: int = Field(description="labelled images that are classified")

    def pool_files(self) -> int:
        """Number of files in the pool."""
        parts = (self.on_topic, self.off_topic, self.exact_copies, self.edited_copies, self.broken)
        return sum(len(part) for part in parts)


def read_truth(folder: Path) -> DemoTruth:
    """The truth of a finished demo folder. Errors: MissingInput, BrokenArtifact."""
    file = folder / TRUTH_FILE
    try:
        return validate_config(DemoTruth, read_json(file), where=str(file))
    except BrokenArtifact:
        raise
    except UserError as error:
        raise BrokenArtifact(f"{error}: remove {folder} and make the images again") from None
