"""Images as plain files: a folder with all its subfolders, or a text file that lists them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from contracts.errors import BrokenArtifact, MissingInput
from trainer.data.sources.image_types import is_image_suffix
from trainer.data.sources.source import ImageSource, RawSample
from trainer.data.sources.text_pool import TextPool


class FileSource(ImageSource):
    """Image files under one root. The key of an image is its path below the root (or as listed)."""

    def __init__(self, root: Path, paths: Sequence[str], labels: np.ndarray | None, names: Sequence[str]) -> None:
        self._root = root
        self._paths = TextPool(paths)
        self._labels = labels
        self._names = tuple(names)

    def __len__(self) -> int:
        return len(self._paths)

    def read(self, index: int) -> RawSample:
        """File number `index`. Errors: OSError."""
        key = self._paths[index]
        data = (self._root / key).read_bytes()
        return RawSample(key, data, None if self._labels is None else int(self._labels[index]))

    def name(self, index: int) -> str:
        """Path of image number `index` below the root."""
        return self._paths[index]

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Names of the class folders or of the labels in the list."""
        return None if self._labels is None else self._names

    def describe(self) -> str:
        return f"{len(self):,} image files of {self._root}"


def open_image_folder(root: Path) -> FileSource:
    """All images below a folder, in order of their paths.

    When none lies in the folder itself and it has several subfolders with images, those are the classes.
    Errors: MissingInput when there is no image.
    """
    paths = list(_walk(root, ""))
    if not paths:
        suffixes = "jpg, png, webp, ..., or .tar or .parquet files"
        raise MissingInput(f"there are no images in {root}: wanted files that end in {suffixes}")
    tops = [path.partition("/")[0] if "/" in path else "" for path in paths]
    names = sorted(set(tops))
    if "" in names or len(names) < 2:
        return FileSource(root, paths, None, ())
    return FileSource(root, paths, np.searchsorted(np.asarray(names), np.asarray(tops)).astype(np.int32), names)


def _walk(root: Path, below: str) -> Iterator[str]:
    with os.scandir(root / below) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        if entry.name.startswith("."):
            continue
        path = f"{below}{entry.name}"
        if entry.is_dir():
            yield from _walk(root, f"{path}/")
        elif is_image_suffix(path.rpartition(".")[2]) and "." in entry.name:
            yield path


def open_file_list(listing: Path) -> FileSource:
    """Images named in a text file: one path a line (relative to the list), a tab and a label after it if wanted.

    Labels are class names; whole numbers are used as they stand. Empty lines and lines that begin with # are left out.
    Errors: MissingInput (no path), BrokenArtifact (labels on some lines only).
    """
    paths: list[str] = []
    labels: list[str] = []
    for line in listing.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        path, tab, label = line.partition("\t")
        if not path.strip() or path.startswith("#"):
            continue
        paths.append(path.strip())
        if tab:
            labels.append(label.strip())
    if not paths:
        raise MissingInput(f"{listing} lists no image: wanted one path a line")
    if labels and len(labels) != len(paths):
        raise BrokenArtifact(f"{listing} has {len(labels)} labels for {len(paths)} paths: label all lines or none")
    if not labels:
        return FileSource(listing.parent, paths, None, ())
    if all(label.isdigit() for label in labels):
        numbers = np.asarray([int(label) for label in labels], dtype=np.int32)
        return FileSource(listing.parent, paths, numbers, [str(number) for number in range(int(numbers.max()) + 1)])
    names = sorted(set(labels))
    return FileSource(
        listing.parent, paths, np.searchsorted(np.asarray(names), np.asarray(labels)).astype(np.int32), names
    )
