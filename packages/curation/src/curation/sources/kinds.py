"""What a file is by its name."""

from __future__ import annotations

ARCHIVE_SUFFIXES = {".tar"}
TABLE_SUFFIXES = {".parquet", ".arrow"}
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


def is_archive(name: str) -> bool:
    """A tar archive, by name."""
    return _suffix(name) in ARCHIVE_SUFFIXES


def is_table(name: str) -> bool:
    """A Parquet or Arrow table, by name."""
    return _suffix(name) in TABLE_SUFFIXES


def is_arrow(name: str) -> bool:
    """An Arrow table, by name."""
    return _suffix(name) == ".arrow"


def is_list(name: str) -> bool:
    """A list of files, by name."""
    return _suffix(name) in LIST_SUFFIXES


def is_sidecar(member: str) -> bool:
    """A member of an archive that describes an image and is none."""
    return _suffix(member) in SIDECAR_SUFFIXES


def _suffix(name: str) -> str:
    """The ending in lower case, with its dot; as fast as it can be, since every member of an archive is asked."""
    dot = name.rfind(".")
    return name[dot:].lower() if dot > name.rfind("/") else ""
