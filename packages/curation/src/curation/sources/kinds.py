"""What a file is by its name."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

ARCHIVE_SUFFIXES = {".tar"}
TABLE_SUFFIXES = {".parquet"}
LIST_SUFFIXES = {".txt", ".lst"}
# Members of a WebDataset sample that describe an image and are none.
SIDECAR_SUFFIXES = {
    ".json",
    ".txt",
    ".cls",
    ".cls2",
    ".id",
    ".index",
    ".csv",
    ".tsv",
    ".xml",
    ".npy",
    ".npz",
    ".pyd",
    ".pkl",
    ".pickle",
    ".pth",
    ".pt",
    ".ten",
    ".tb",
    ".mp",
    ".msg",
    ".cbor",
    ".html",
    ".wav",
    ".flac",
    ".mp3",
    ".mp4",
    ".parquet",
}


def is_archive(path: Path) -> bool:
    """A tar archive, by name."""
    return path.suffix.lower() in ARCHIVE_SUFFIXES


def is_table(path: Path) -> bool:
    """A Parquet table, by name."""
    return path.suffix.lower() in TABLE_SUFFIXES


def is_list(path: Path) -> bool:
    """A list of files, by name."""
    return path.suffix.lower() in LIST_SUFFIXES


def is_sidecar(member: str) -> bool:
    """A member of an archive that describes an image and is none."""
    return PurePosixPath(member).suffix.lower() in SIDECAR_SUFFIXES
