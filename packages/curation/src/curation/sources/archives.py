"""Tar archives (WebDataset): the images in them, in order, and random access by member name.

Members are read, never extracted to disk, so a member's name cannot lead anywhere.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path

from contracts.errors import BrokenArtifact
from curation.sources.kinds import is_sidecar


class CutArchive(Exception):
    """The archive ends early or holds damaged headers."""


def iterate_images(path: Path | str) -> Iterator[tuple[str, bytes]]:
    """(member name, bytes) of every image member. Errors: CutArchive after the members that could be read."""
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                if not member.isreg() or is_sidecar(member.name):
                    continue
                handle = tar.extractfile(member)
                data = handle.read() if handle is not None else b""
                if len(data) != member.size:
                    raise CutArchive(f"{member.name} has {len(data)} of {member.size} bytes")
                yield member.name, data
            _check_end(tar, path)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise CutArchive(str(error)) from None


def _check_end(tar: tarfile.TarFile, path: Path | str) -> None:
    """A whole archive ends with a block of zeros; tarfile itself takes a cut at a member's end for the end."""
    size = Path(path).stat().st_size
    if tar.offset + tarfile.BLOCKSIZE > size and size > 0:
        raise CutArchive("the end-of-archive block is missing")


class ArchiveReader:
    """Random access to members of one archive: its headers are read once."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._where: dict[str, tuple[int, int]] = {}
        try:
            with tarfile.open(path, "r:") as tar:
                for member in tar:
                    if member.isreg() and not is_sidecar(member.name):
                        self._where[member.name] = (member.offset_data, member.size)
        except tarfile.TarError as error:
            if not self._where:
                raise BrokenArtifact(f"{path} is not a readable tar archive ({error})") from None
        self._handle = Path(path).open("rb")  # noqa: SIM115  closed with the reader

    def read(self, member: str) -> bytes | None:
        """Bytes of a member; None if there is no such member or it is cut short."""
        if member not in self._where:
            return None
        offset, size = self._where[member]
        self._handle.seek(offset)
        data = self._handle.read(size)
        return data if len(data) == size else None

    def close(self) -> None:
        """Close the file."""
        self._handle.close()
