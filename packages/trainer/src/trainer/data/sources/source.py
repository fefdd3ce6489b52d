"""What every source of images can do: tell its length, name and read one image by index."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RawSample:
    """One image as stored: its key (unique in the source), its undecoded bytes and its class, if it has one."""

    key: str
    data: bytes
    label: int | None


class ImageSource(ABC):
    """Images with random access by index, on local files or on copies of remote ones.

    Sources hold no open file when they are pickled: every worker process opens its own. `fingerprint`: sha256 of what
    the images are, where it is known.
    """

    fingerprint: str | None = None

    @abstractmethod
    def __len__(self) -> int:
        """Number of images."""

    @abstractmethod
    def read(self, index: int) -> RawSample:
        """Image number `index`. Errors: OSError when its bytes cannot be read (the loader skips and names it)."""

    @abstractmethod
    def name(self, index: int) -> str:
        """Key of image number `index`, without its data."""

    @property
    @abstractmethod
    def class_names(self) -> tuple[str, ...] | None:
        """Names of the classes by label, or None when the source has no labels."""

    @abstractmethod
    def describe(self) -> str:
        """One phrase for logs: kind, place, number of images."""

    def blocks(self) -> np.ndarray:
        """Sizes of the runs of neighbours that are cheap to read together; one run when any order is as good."""
        return np.asarray([len(self)], dtype=np.int64)

    def blocks_at_once(self) -> int:
        """How many blocks a shuffle may mix: as many as the source keeps at hand."""
        return 1

    def ahead(self, blocks: Sequence[int]) -> None:  # noqa: B027 (sources at hand have nothing to do)
        """These blocks are wanted now and next, in this order: a source may fetch them in the background."""

    def starts_workers_afresh(self) -> bool:
        """Whether worker processes must be started anew, since what the source uses does not survive a fork."""
        return False
