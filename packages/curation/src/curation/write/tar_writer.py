"""A tar archive (USTAR) written straight ahead, hashed on the way: small images cost no more than their bytes.

The bytes are those of Python's tarfile in its USTAR format (mtime 0, no owner), which spends some ten times as long on
each header. Source: POSIX.1-2017, pax, "ustar Interchange Format".
"""

from __future__ import annotations

import hashlib
from io import RawIOBase

BLOCK = 512
RECORD = 20 * BLOCK
LONGEST_NAME = 100
LARGEST_FILE = 8**11 - 1
MODE = 0o444
PIECE_BYTES = 1 << 20

_ZEROS = bytes(BLOCK)

_SIZE, _CHECKSUM = slice(124, 136), slice(148, 156)


def _template() -> bytes:
    header = bytearray(BLOCK)
    header[100:108] = b"%07o\0" % MODE
    header[108:116] = header[116:124] = b"%07o\0" % 0  # user, group
    header[136:148] = b"%011o\0" % 0  # time
    header[_CHECKSUM] = b" " * 8
    header[156:157] = b"0"  # a regular file
    header[257:265] = b"ustar\x0000"
    return bytes(header)


_TEMPLATE = _template()
_TEMPLATE_SUM = sum(_TEMPLATE)


class TarWriter:
    """Add files, then `finish`. Headers and bytes go to the (unbuffered) file in pieces of about a megabyte."""

    def __init__(self, handle: RawIOBase) -> None:
        self._handle, self._digest, self._size = handle, hashlib.sha256(), 0
        self._waiting: list[bytes | bytearray | memoryview] = []
        self._waiting_bytes = 0

    def add(self, name: str, data: bytes | memoryview) -> None:
        """Append a file. Errors: ValueError for a name or size that USTAR has no room for."""
        named = name.encode("ascii")
        if len(named) > LONGEST_NAME or len(data) > LARGEST_FILE:
            raise ValueError(f"{name} ({len(data)} bytes) does not fit a USTAR header")
        size = b"%011o\0" % len(data)
        header = bytearray(_TEMPLATE)
        header[: len(named)] = named
        header[_SIZE] = size
        header[_CHECKSUM] = b"%06o\0 " % (_TEMPLATE_SUM + sum(named) + sum(size))
        self._waiting += (header, data, _ZEROS[: -len(data) % BLOCK])
        self._waiting_bytes += BLOCK + -(-len(data) // BLOCK) * BLOCK
        if self._waiting_bytes >= PIECE_BYTES:
            self._write()

    def finish(self) -> tuple[int, str]:
        """Write the end of the archive. Returns its size in bytes and its sha256 in hex."""
        self._waiting.append(bytes(2 * BLOCK + -(self._size + self._waiting_bytes + 2 * BLOCK) % RECORD))
        self._write()
        return self._size, self._digest.hexdigest()

    def _write(self) -> None:
        piece = b"".join(self._waiting)
        self._waiting, self._waiting_bytes = [], 0
        self._digest.update(piece)
        self._size += len(piece)
        rest = memoryview(piece)
        while len(rest):
            rest = rest[self._handle.write(rest) or 0 :]
