"""Read original bytes back by uri."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator

from contracts.errors import UserError
from curation.sources.archives import ArchiveReader
from curation.sources.filesystem import read_file
from curation.sources.kinds import is_table
from curation.sources.tables import TableReader
from curation.sources.uri import split_uri

CONTAINERS_OPEN = 64

Readers = OrderedDict[str, ArchiveReader | TableReader]


class ByteReader:
    """Original bytes by uri; archives and tables stay open, the 64 used last. One thread at a time."""

    def __init__(self) -> None:
        self._readers: Readers = OrderedDict()

    def read(self, uri: str) -> bytes:
        """Bytes of an image; what cannot be read any more (a file that was moved, a member that is gone) gives none,
        which decoding names and a key check refuses."""
        path, member = split_uri(uri)
        return _read_file(path) if member is None else _read_member(self._readers, path, member)

    def close(self) -> None:
        """Close what is open."""
        while self._readers:
            self._readers.popitem()[1].close()


def read_bytes(uris: Iterable[str]) -> Iterator[bytes]:
    """Bytes of each image, in the order of the uris; each archive and table is opened once."""
    reader = ByteReader()
    try:
        for uri in uris:
            yield reader.read(uri)
    finally:
        reader.close()


def _read_file(path: str) -> bytes:
    try:
        return read_file(path)
    except (OSError, UserError):
        return b""


def _read_member(readers: Readers, path: str, member: str) -> bytes:
    try:
        if path not in readers:
            readers[path] = TableReader(path) if is_table(path) else ArchiveReader(path)
            if len(readers) > CONTAINERS_OPEN:
                readers.popitem(last=False)[1].close()
        readers.move_to_end(path)
        reader = readers[path]
        data = reader.read(int(member)) if isinstance(reader, TableReader) else reader.read(member)
    except (OSError, ValueError, UserError):
        return b""
    return data or b""
