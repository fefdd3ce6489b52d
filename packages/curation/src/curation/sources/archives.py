"""Tar archives (WebDataset): the images in them, in order, and random access by member name.

Members are read, never extracted to disk, so a member's name cannot lead anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from pathlib import PurePosixPath

from contracts.errors import BrokenArtifact
from curation.sources.filesystem import open_file
from curation.sources.kinds import is_sidecar
from curation.sources.tar_members import CutArchive, walk_members


def iterate_images(path: str, samples: Set[str] | None = None) -> Iterator[tuple[str, bytes]]:
    """(member name, bytes) of every image member, or of those of some samples.

    Errors: CutArchive after the members that could be read.
    """
    try:
        with open_file(path) as handle:
            for member in walk_members(handle):
                if is_sidecar(member.name) or (samples is not None and sample_key(member.name) not in samples):
                    continue
                handle.seek(member.offset)
                data = handle.read(member.size)
                if len(data) != member.size:
                    raise CutArchive(f"{member.name} has {len(data)} of {member.size} bytes")
                yield member.name, data
    except OSError as error:
        raise CutArchive(str(error)) from None


def sample_key(member: str) -> str:
    """WebDataset's key of a member: its path up to the first dot of the file name."""
    path = PurePosixPath(member)
    return str(path.with_name(path.name.partition(".")[0] or path.name)) if path.name else member


class ArchiveReader:
    """Random access to members of one archive: its headers are read once. Of members of one name the first stands.

    `places`: (offset, size) in bytes by name.
    """

    def __init__(self, path: str) -> None:
        self.places: dict[str, tuple[int, int]] = {}
        self._handle = open_file(path)
        try:
            for member in walk_members(self._handle):
                if not is_sidecar(member.name):
                    self.places.setdefault(member.name, (member.offset, member.size))
        except CutArchive as error:
            if not self.places:
                self._handle.close()
                raise BrokenArtifact(f"{path} is not a readable tar archive ({error})") from None

    def read(self, member: str) -> bytes | None:
        """Bytes of a member; None if there is no such member or it is cut short."""
        if member not in self.places:
            return None
        offset, size = self.places[member]
        self._handle.seek(offset)
        data = self._handle.read(size)
        return data if len(data) == size else None

    def close(self) -> None:
        """Close the file."""
        self._handle.close()
