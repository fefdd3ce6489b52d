"""Read original bytes back by uri."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from pathlib import Path

from contracts.errors import UserError
from curation.sources.archives import ArchiveReader
from curation.sources.kinds import is_table
from curation.sources.tables import TableReader
from curation.sources.uri import split_uri

CONTAINERS_OPEN = 64


def read_bytes(uris: Iterable[str]) -> Iterator[bytes]:
    """Bytes of each image, in the order of the uris; each archive and table is opened once.

    What cannot be read any more (a file that was moved, a member that is gone) gives empty bytes, which decoding names
    and a key check refuses.
    """
    readers: OrderedDict[str, ArchiveReader | TableReader] = OrderedDict()
    try:
        for uri in uris:
            path, member = split_uri(uri)
            yield _read_file(path) if member is None else _read_member(readers, path, member)
    finally:
        for reader in readers.values():
            _close(reader)


def _read_file(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def _read_member(readers: OrderedDict[str, ArchiveReader | TableReader], path: str, member: str) -> bytes:
    try:
        if path not in readers:
            readers[path] = TableReader(path) if is_table(Path(path)) else ArchiveReader(path)
            if len(readers) > CONTAINERS_OPEN:
                _close(readers.popitem(last=False)[1])
        readers.move_to_end(path)
        reader = readers[path]
        data = reader.read(int(member)) if isinstance(reader, TableReader) else reader.read(member)
    except (OSError, ValueError, UserError):
        return b""
    return data or b""


def _close(reader: ArchiveReader | TableReader) -> None:
    if isinstance(reader, ArchiveReader):
        reader.close()
