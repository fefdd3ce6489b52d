"""Tar shards of an object store or web server, met window by window and read from local copies.

An epoch visits the shards in a random order, a few at a time, and shuffles the images of those few. So every shard is
fetched about once per epoch, ahead of its use, and what is met depends on seed and position alone.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Event

import numpy as np

from contracts.dataset_folder import HEADER, INDEX, SIZES, read_dataset
from contracts.errors import BrokenArtifact, ConfigError, MissingInput, UserError
from trainer.data.remote.cache import CopyCache, Entry
from trainer.data.remote.files import RemoteFile, copy_file, exists, find_files, folder_of, list_files, read_whole
from trainer.data.remote.prefetch import Prefetcher
from trainer.data.remote.settings import RemoteSettings
from trainer.data.remote.web import is_web
from trainer.data.sources.source import ImageSource, RawSample
from trainer.data.sources.tar_members import index_shard
from trainer.data.sources.tar_shards import TarSource

COUNTED_AT_ONCE = 4


@dataclass(frozen=True)
class RemoteShard:
    """A shard, its images, and the sha256 of its bytes where that is known."""

    file: RemoteFile
    images: int
    sha256: str | None = None

    def entry(self) -> Entry:
        """Its local copy."""
        file = self.file
        return Entry(self.sha256 or f"{file.address}\n{file.size}\n{file.version}", file.name, file.size)


class RemoteTarSource(ImageSource):
    """Images in tars that lie elsewhere. `at_once`: shards whose images are shuffled together.

    Keys are those of TarSource. Errors: MissingInput (no image), ConfigError (two windows do not fit into the cache).
    """

    def __init__(
        self,
        shards: Sequence[RemoteShard],
        settings: RemoteSettings,
        at_once: int,
        *,
        bare_keys: bool = False,
        fingerprint: str | None = None,
    ) -> None:
        self._shards = tuple(shard for shard in shards if shard.images)
        if not self._shards:
            names = ", ".join(shard.file.address for shard in shards[:3])
            raise MissingInput(f"no images in {names}: wanted members such as 000001.jpg, .png or .webp")
        self._settings, self._at_once, self._bare_keys = settings, at_once, bare_keys
        self.fingerprint = fingerprint
        self._cache = CopyCache(settings.folder(), settings.limit_bytes())
        self._first = np.cumsum([0, *(shard.images for shard in self._shards)], dtype=np.int64)
        self._open: OrderedDict[int, TarSource] = OrderedDict()
        self._prefetcher: Prefetcher | None = None
        sizes = sorted((shard.file.size for shard in self._shards), reverse=True)
        needed = min(sum(sizes), sum(sizes[: 2 * at_once]))
        if needed > settings.limit_bytes():
            raise ConfigError(
                f"two windows of {at_once} shards of {folder_of(self._shards[0].file.address)} take "
                f"{needed / 2**30:.2f} GiB and data.remote.cache_gib is {settings.cache_gib:g}: raise it or lower "
                "data.shuffle_shards"
            )

    def __len__(self) -> int:
        return int(self._first[-1])

    def read(self, index: int) -> RawSample:
        """Image number `index`, from a local copy of its shard, fetched if need be.

        Errors: OSError for damage inside a shard; UserError for a shard that cannot be had.
        """
        shard = self._shard_of(index)
        return self._opened(shard).read(index - int(self._first[shard]))

    def name(self, index: int) -> str:
        """Key of image number `index`."""
        shard = self._shard_of(index)
        return self._opened(shard).name(index - int(self._first[shard]))

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Numbers as names, when every image has a `.cls` member: all shards are looked into, up to one without."""
        classes = 0
        for shard in range(len(self._shards)):
            names = self._opened(shard).class_names
            if names is None:
                return None
            classes = max(classes, len(names))
        return tuple(str(number) for number in range(classes))

    def describe(self) -> str:
        place = folder_of(self._shards[0].file.address)
        return f"{len(self):,} images in {len(self._shards):,} tar shards of {place}"

    def blocks(self) -> np.ndarray:
        """Images of each shard."""
        return np.diff(self._first)

    def blocks_at_once(self) -> int:
        """Shards of a window."""
        return self._at_once

    def ahead(self, blocks: Sequence[int]) -> None:
        """Fetch these shards in the background, in order."""
        if self._prefetcher is None:
            self._prefetcher = Prefetcher(lambda shard, stop: self._copy(shard, stop) is not None)
        self._prefetcher.want(blocks)

    def starts_workers_afresh(self) -> bool:
        """The clients of object stores do not survive a fork."""
        return True

    def _shard_of(self, index: int) -> int:
        return int(np.searchsorted(self._first, index, side="right")) - 1

    def _opened(self, number: int) -> TarSource:
        found = self._open.get(number)
        if found is not None:
            self._open.move_to_end(number)
            return found
        opened = self._open_copy(number)
        if len(opened) != self._shards[number].images:
            raise BrokenArtifact(
                f"{self._shards[number].file.address} holds {len(opened)} images where {self._shards[number].images} "
                f"were wanted: correct {SIZES} or {INDEX} beside it, or upload it again"
            )
        while len(self._open) >= 2 * self._at_once:
            self._open.popitem(last=False)
        self._open[number] = opened
        return opened

    def _open_copy(self, number: int) -> TarSource:
        while True:
            path = self._copy(number)
            assert path is not None
            try:
                return TarSource([path], bare_keys=self._bare_keys)
            except MissingInput:
                if path.exists():
                    raise
                # Removed by another process between the two: fetch it again.

    def _copy(self, number: int, stop: Event | None = None) -> Path | None:
        """The local copy of a shard; in the background, until `stop` is set, None while another process makes it."""
        shard = self._shards[number]

        def make(draft: Path) -> None:
            copy_file(shard.file, draft, self._settings, shard.sha256, stop)

        return self._cache.copy(shard.entry(), make, wait=stop is None)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_open": OrderedDict(), "_prefetcher": None}


def open_remote_dataset(folder: str, settings: RemoteSettings, at_once: int) -> RemoteTarSource:
    """The images of a dataset folder that curate wrote, wherever it lies; its shards are checked by sha256.

    Errors: MissingInput, BrokenArtifact (header, index, a shard that is missing or of another size), Unreachable.
    """
    root = folder.rstrip("/")
    with tempfile.TemporaryDirectory() as copies:
        for name in (HEADER, INDEX):
            (Path(copies) / name).write_bytes(read_whole(f"{root}/{name}", settings))
        try:
            dataset = read_dataset(copies, shards_at_hand=False)
        except UserError as error:
            raise type(error)(str(error).replace(copies, root)) from None
    files = [RemoteFile(f"{root}/{shard.url}", shard.filesize, "") for shard in dataset.shards]
    if not is_web(root):
        there = set(list_files(root, "*.tar", settings))
        for file in files:
            if file.address not in there:
                raise BrokenArtifact(f"{root} lacks the shard {file.name}: copy it there again")
    shards = [
        RemoteShard(file, shard.nsamples, shard.sha256) for file, shard in zip(files, dataset.shards, strict=True)
    ]
    return RemoteTarSource(shards, settings, at_once, bare_keys=True, fingerprint=dataset.header.manifest_sha256)


def open_remote_tars(addresses: Sequence[str], settings: RemoteSettings, at_once: int) -> RemoteTarSource:
    """Images in tars named one by one. How many each holds is read from sizes.json beside them ({name: images}, as
    DataComp and OpenCLIP have it), else counted: then every shard is fetched once before the first step.

    Errors: MissingInput, BrokenArtifact (not a tar), Unreachable.
    """
    files = find_files(addresses, settings)
    known = _sizes_beside(files, settings)
    shards = [RemoteShard(file, known.get(file.address, -1)) for file in files]
    with ThreadPoolExecutor(COUNTED_AT_ONCE) as pool:
        return RemoteTarSource(list(pool.map(lambda shard: _counted(shard, settings), shards)), settings, at_once)


def _sizes_beside(files: Sequence[RemoteFile], settings: RemoteSettings) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for folder in {folder_of(file.address) for file in files}:
        if exists(f"{folder}/{SIZES}", settings):
            found = json.loads(read_whole(f"{folder}/{SIZES}", settings))
            sizes.update({f"{folder}/{name}": int(images) for name, images in found.items()})
    return sizes


def _counted(shard: RemoteShard, settings: RemoteSettings) -> RemoteShard:
    """The shard with its number of images, which is kept in the cache folder for the next time."""
    if shard.images >= 0:
        return shard
    cache, entry = CopyCache(settings.folder(), settings.limit_bytes()), shard.entry()
    note = Entry(f"images in {entry.identity}", "images.txt", 20)
    while (noted := cache.at_hand(note)) is None:
        path = cache.copy(entry, lambda draft: copy_file(shard.file, draft, settings))
        assert path is not None
        with contextlib.suppress(FileNotFoundError):  # another process made room in between: once more
            images = str(len(index_shard(path).head))
            cache.copy(note, partial(Path.write_text, data=images))
    return replace(shard, images=int(noted.read_text()))
