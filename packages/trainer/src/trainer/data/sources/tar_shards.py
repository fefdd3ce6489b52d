"""Images in tar files: WebDataset shards of any origin, and the dataset folder that curate writes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from contracts.dataset_folder import read_dataset
from contracts.errors import BrokenArtifact, MissingInput
from trainer.data.sources.source import ImageSource, RawSample
from trainer.data.sources.tar_members import NO_LABEL, Member, index_shard, split_name, walk_members


class TarSource(ImageSource):
    """Images in local tar files, read by their place in the file.

    The headers are walked once when the source is opened. The key of an image is its member's name up to the first
    dot; unless `bare_keys`, with `<shard file>#` before it, since two shards may use a name twice.
    Errors: MissingInput (no shard, no image in any), BrokenArtifact (not a tar).
    """

    def __init__(self, shards: Sequence[Path], *, bare_keys: bool = False) -> None:
        for shard in shards:
            if not shard.is_file():
                raise MissingInput(f"the shard {shard} is not there: copy it back or leave it out of the pattern")
        self._shards = tuple(shards)
        self._bare_keys = bare_keys
        parts = [index_shard(shard) for shard in self._shards]
        self._first = np.cumsum([0, *(len(part.head) for part in parts)], dtype=np.int64)
        if not parts or not self._first[-1]:
            names = ", ".join(str(shard) for shard in self._shards[:3])
            raise MissingInput(f"no images in {names}: wanted members such as 000001.jpg, .png or .webp")
        self._head = np.concatenate([part.head for part in parts])
        self._data = np.concatenate([part.data for part in parts])
        self._size = np.concatenate([part.size for part in parts])
        self._label = np.concatenate([part.label for part in parts])
        self._open: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._head)

    def read(self, index: int) -> RawSample:
        """Image number `index` in order of shards and members. Errors: OSError, also for a shard that was cut short."""
        shard = int(np.searchsorted(self._first, index, side="right")) - 1
        head, data, size = int(self._head[index]), int(self._data[index]), int(self._size[index])
        content = os.pread(self._descriptor(shard), data - head + size, head)
        key = self._key(shard, content[: data - head])
        if len(content) < data - head + size:
            raise OSError(f"{key}: {self._shards[shard].name} was cut short inside this image")
        label = int(self._label[index])
        return RawSample(key, content[data - head :], None if label == NO_LABEL else label)

    def name(self, index: int) -> str:
        """Key of image number `index`."""
        shard = int(np.searchsorted(self._first, index, side="right")) - 1
        head, data = int(self._head[index]), int(self._data[index])
        return self._key(shard, os.pread(self._descriptor(shard), data - head, head))

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Numbers as names, when every image has a `.cls` member."""
        if (self._label == NO_LABEL).any():
            return None
        return tuple(str(number) for number in range(int(self._label.max()) + 1))

    def describe(self) -> str:
        return f"{len(self):,} images in {len(self._shards):,} tar shards of {self._shards[0].parent}"

    def _key(self, shard: int, headers: bytes) -> str:
        member: Member = next(walk_members(headers, self._shards[shard]))
        stem = split_name(member.name)[0]
        return stem if self._bare_keys else f"{self._shards[shard].name}#{stem}"

    def _descriptor(self, shard: int) -> int:
        """An open file descriptor; kept open, since shards are few compared with images."""
        found = self._open.get(shard)
        if found is None:
            if len(self._open) >= MAX_OPEN_SHARDS:
                os.close(self._open.pop(next(iter(self._open))))
            found = self._open[shard] = os.open(self._shards[shard], os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        return found

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_open": {}}

    def __del__(self) -> None:
        for descriptor in self.__dict__.get("_open", {}).values():
            os.close(descriptor)


MAX_OPEN_SHARDS = 256


def open_dataset_folder(path: Path) -> TarSource:
    """The images of a dataset folder. Errors: those of contracts.read_dataset; BrokenArtifact when counts disagree."""
    dataset = read_dataset(path)
    source = TarSource([dataset.shard_path(number) for number in range(len(dataset.shards))], bare_keys=True)
    if len(source) != dataset.header.samples:
        raise BrokenArtifact(
            f"{path} holds {len(source)} images where {dataset.header.samples} were wanted: run `curate build` again"
        )
    source.fingerprint = dataset.header.manifest_sha256
    return source
