"""What every source of images can do: tell its length and read one image by index."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass


@dataclass(frozen=True)
class RawSample:
    """One image as stored: its key (unique in the source), its undecoded bytes and its class, if it has one."""

    key: str
    data: bytes
    label: int | None


class ImageSource(ABC):
    """Images with random access by index, on local files.

    Sources hold no open file when they are pickled: every worker process opens its own.
    """

    @abstractmethod
    def __len__(self) -> int:
        """Number of images."""

    @abstractmethod
    def read(self, index: int) -> RawSample:
        """Image number `index`. Errors: OSError when its bytes cannot be read (the loader skips and names it)."""

    @property
    @abstractmethod
    def class_names(self) -> tuple[str, ...] | None:
        """Names of the classes by label, or None when the source has no labels."""

    @abstractmethod
    def describe(self) -> str:
        """One phrase for logs: kind, place, number of images."""
