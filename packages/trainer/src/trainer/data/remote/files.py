"""Files by address, in any store: sizes, listings, whole files, and copies that go on where a connection broke."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from threading import Event
from typing import Any, BinaryIO, cast

from contracts.errors import BrokenArtifact, MissingInput, UserError
from contracts.remote_files import open_filesystem
from trainer.data.remote.patience import FAILURES, Patience, patiently
from trainer.data.remote.settings import RemoteSettings
from trainer.data.remote.web import WebFile, is_web, open_url, url_size

BLOCK_BYTES = 8 << 20
AT_ONCE = 16


@dataclass(frozen=True)
class RemoteFile:
    """A file that was found. `version` tells apart what one address held at different times. Units: size in bytes."""

    address: str
    size: int
    version: str

    @property
    def name(self) -> str:
        """The last part of the address."""
        return base_name(self.address)


def base_name(address: str) -> str:
    """The last part of an address, without a query."""
    return address.partition("?")[0].rstrip("/").rpartition("/")[2]


def folder_of(address: str) -> str:
    """The address without its last part."""
    return address.rstrip("/").rpartition("/")[0] or "."


def find_files(addresses: Sequence[str], settings: RemoteSettings) -> list[RemoteFile]:
    """Sizes and versions of files, many at a time. Errors: MissingInput for one that is not there; Unreachable."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda address: _find(address, settings), addresses))


def _find(address: str, settings: RemoteSettings) -> RemoteFile:
    if is_web(address):
        return RemoteFile(address, *patiently(address, settings, lambda: url_size(address, settings)))
    filesystem, path = open_filesystem(address)
    info = patiently(address, settings, lambda: filesystem.get_file_info(path))
    if not info.is_file:
        raise MissingInput(f"there is no file {address}: put it there or leave it out of the pattern")
    return RemoteFile(address, int(info.size), str(info.mtime_ns))


def list_files(folder: str, pattern: str, settings: RemoteSettings, *, recursive: bool = False) -> list[str]:
    """Addresses of the files of a folder whose name fits a pattern, sorted; none where there is no folder.

    Errors: MissingInput for web addresses, which cannot be listed, and for what is refused; Unreachable.
    """
    if is_web(folder):
        raise MissingInput(
            f"{folder} cannot be listed: name a dataset folder with its dataset.json, or files by a pattern such as "
            f"{folder.rstrip('/')}/{{000000..000127}}.tar"
        )
    from pyarrow import fs

    filesystem, path = open_filesystem(folder)
    wanted = fs.FileSelector(path, recursive=recursive, allow_not_found=True)
    found = patiently(folder, settings, lambda: filesystem.get_file_info(wanted))
    below = path.strip("/")
    inner = [info.path.strip("/")[len(below) :].lstrip("/") for info in found if info.is_file]
    return [f"{folder.rstrip('/')}/{name}" for name in sorted(inner) if fnmatchcase(name.rpartition("/")[2], pattern)]


def read_whole(address: str, settings: RemoteSettings) -> bytes:
    """All bytes of a small file. Errors: MissingInput, Unreachable."""

    def attempt() -> bytes:
        with _open_at(address, 0, settings) as stream:
            return stream.read()

    return patiently(address, settings, attempt)


def exists(address: str, settings: RemoteSettings) -> bool:
    """Whether there is a file of this address that may be read. Errors: Unreachable; ConfigError for private hosts."""
    try:
        find_files([address], settings)
    except MissingInput:
        return False
    return True


def open_table(file: RemoteFile, settings: RemoteSettings) -> Any:
    """A file with random access, as pyarrow's readers want it. Errors: OSError."""
    if is_web(file.address):
        import pyarrow as pa

        return pa.PythonFile(WebFile(file.address, file.size, settings), mode="r")
    filesystem, path = open_filesystem(file.address)
    return filesystem.open_input_file(path)


def copy_file(
    file: RemoteFile, target: Path, settings: RemoteSettings, sha256: str | None = None, stop: Event | None = None
) -> None:
    """Copy a file to a local one, which may be there as a placeholder, going on where a connection broke.

    Errors: MissingInput (not there, refused), Unreachable, BrokenArtifact (other size or sha256), UserError (disk),
    Stopped.
    """
    patience, done, digest = Patience(file.address, settings, stop), 0, hashlib.sha256()
    with target.open("r+b" if target.exists() else "wb") as local:
        while done < file.size:
            try:
                with _open_at(file.address, done, settings) as stream:
                    while block := stream.read(BLOCK_BYTES):
                        _write(local, block)
                        digest.update(block)
                        done += len(block)
                        patience.progress()
                if done < file.size:
                    raise OSError(f"it ended after {done} of {file.size} bytes")
            except FAILURES as error:
                patience.after(error)
        local.truncate(done)
    if done != file.size or (sha256 is not None and digest.hexdigest() != sha256):
        raise BrokenArtifact(
            f"{file.address} does not hold the {file.size} bytes that were wanted, or others: it was changed or "
            "damaged; upload it again"
        )


def _write(local: BinaryIO, block: bytes) -> None:
    try:
        local.write(block)
    except OSError as error:
        raise UserError(f"{local.name} cannot be written ({error.strerror}): make room or set data.remote") from None


def _open_at(address: str, start: int, settings: RemoteSettings) -> BinaryIO:
    """A stream of the file from byte `start` on. Errors: OSError."""
    if is_web(address):
        answer = open_url(address, settings, start)
        skip = 0 if answer.status == 206 else start
        while skip:
            skip -= len(answer.read(min(skip, BLOCK_BYTES))) or skip
        return cast(BinaryIO, answer)
    filesystem, path = open_filesystem(address)
    handle = filesystem.open_input_file(path)
    handle.seek(start)
    return cast(BinaryIO, handle)
