"""Files wherever they are: local paths, others by address (s3://, gs://, hdfs://, all that fsspec knows)."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from contracts.errors import MissingInput
from contracts.remote_files import is_remote, open_filesystem

__all__ = ["file_bytes", "is_file", "is_remote", "list_remote", "open_file", "open_filesystem", "read_file"]

READ_AHEAD_BYTES = 8 << 20
LOCAL_READ_BYTES = 128 << 10


def read_file(path: str) -> bytes:
    """All bytes of a file. Errors: OSError."""
    if not is_remote(path):
        return Path(path).read_bytes()
    filesystem, inner = open_filesystem(path)
    with filesystem.open_input_file(inner) as handle:
        return bytes(handle.read())


def open_file(path: str) -> BinaryIO:
    """A seekable file, read ahead in large blocks where it is far away. Errors: OSError."""
    if not is_remote(path):
        return Path(path).open("rb", buffering=LOCAL_READ_BYTES)
    filesystem, inner = open_filesystem(path)
    return cast(BinaryIO, io.BufferedReader(filesystem.open_input_file(inner), READ_AHEAD_BYTES))


def file_bytes(path: str) -> int:
    """Size of a file. Errors: OSError."""
    if not is_remote(path):
        return Path(path).stat().st_size
    filesystem, inner = open_filesystem(path)
    return int(filesystem.get_file_info(inner).size or 0)


def is_file(path: str) -> bool:
    """Whether there is a file of this name."""
    if not is_remote(path):
        return Path(path).is_file()
    filesystem, inner = open_filesystem(path)
    return bool(filesystem.get_file_info(inner).is_file)


def list_remote(address: str) -> Iterator[str]:
    """Addresses of every file below a remote folder, or of the file itself. Errors: MissingInput."""
    from pyarrow import fs

    filesystem, inner = open_filesystem(address)
    try:
        info = filesystem.get_file_info(inner)
        if info.is_file:
            yield address
            return
        found = filesystem.get_file_info(fs.FileSelector(inner, recursive=True)) if info.type != _not_found() else []
    except OSError as error:
        raise MissingInput(f"{address} cannot be listed ({_one_line(error)}): check its name and credentials") from None
    if info.type == _not_found():
        raise MissingInput(f"there is no {address}: name a folder, a tar, a Parquet table or a list of files")
    prefix = inner.strip("/")
    for entry in found:
        if entry.is_file:
            yield f"{address.rstrip('/')}/{entry.path.strip('/')[len(prefix) :].lstrip('/')}"


def _not_found() -> Any:
    from pyarrow import fs

    return fs.FileType.NotFound


def _one_line(error: OSError) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
