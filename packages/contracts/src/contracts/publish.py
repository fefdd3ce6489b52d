"""A published file is whole: draft beside it, fsync, rename. A killed process leaves only drafts."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from contracts.errors import BrokenArtifact, MissingInput, UserError

DRAFT_MARK = ".draft-"
_umask = os.umask(0)
os.umask(_umask)
_NEW_FILE_MODE = 0o666 & ~_umask
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""A full disk, a quota that is used up, a file larger than the file system or the shell's limit allows."""


def disk_is_full(error: OSError) -> bool:
    """Whether an error tells of a full disk; numpy tells a write that was cut short without an error number."""
    if error.errno is None:
        return re.fullmatch(r"\d+ requested and \d+ written", str(error)) is not None
    return error.errno in NO_SPACE


def fsync_folder(folder: Path) -> None:
    """Make the renames inside a folder survive a power cut (a no-op where folders cannot be opened)."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _fsync_tree(path: Path) -> None:
    """Sync every file, and give it the mode of any other new file: some writers (safetensors) keep others out."""
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    for file in files:
        with file.open("rb") as handle:
            mode = stat.S_IMODE(os.fstat(handle.fileno()).st_mode)
            if mode | _NEW_FILE_MODE != mode:
                os.fchmod(handle.fileno(), mode | _NEW_FILE_MODE)
            os.fsync(handle.fileno())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def draft(path: Path | str) -> Iterator[Path]:
    """Give a draft path to write a file or a folder to; publish it as `path` when the block ends well.

    An existing file is replaced in one step. An existing folder is moved aside first and removed after, so a
    reader meets the old folder, none, or the new one, never a mixture. On any error the draft is removed.
    """
    final = Path(path)
    rough = final.with_name(f"{final.name}{DRAFT_MARK}{os.getpid()}-{uuid.uuid4().hex[:8]}")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        yield rough
        if not rough.exists():
            raise FileNotFoundError(f"nothing was written to the draft of {final}")
        _fsync_tree(rough)
        if rough.is_dir() and final.is_dir():
            old = rough.with_name(rough.name + "-old")
            final.replace(old)
            rough.replace(final)
            _remove(old)
        else:
            rough.replace(final)
        fsync_folder(final.parent)
    except OSError as error:
        _remove(rough)
        if disk_is_full(error):
            raise UserError(
                f"the disk is full while writing {final}: free some space and run the same command again "
                "(what was published before is intact)"
            ) from error
        raise
    except BaseException:
        _remove(rough)
        raise


def publish_bytes(path: Path | str, data: bytes) -> None:
    """Publish bytes under `path` atomically."""
    with draft(path) as rough:
        rough.write_bytes(data)


def publish_text(path: Path | str, text: str) -> None:
    """Publish UTF-8 text under `path` atomically."""
    publish_bytes(path, text.encode("utf-8"))


def write_array(path: Path | str, array: npt.NDArray[Any]) -> None:
    """Write an array as .npy, in C order.

    numpy's own `save` goes through the C library and loses, without an error, the last bytes on a full disk.
    """
    rows = np.ascontiguousarray(array)
    with Path(path).open("wb") as handle:
        np.lib.format.write_array_header_1_0(handle, np.lib.format.header_data_from_array_1_0(rows))
        handle.write(rows.reshape(-1).view(np.uint8).data)


def publish_array(path: Path | str, array: npt.NDArray[Any]) -> None:
    """Publish an array as .npy atomically."""
    with draft(path) as rough:
        write_array(rough, array)


def publish_json(path: Path | str, value: Any) -> None:
    """Publish JSON (sorted keys, two spaces, final newline): the same value gives the same bytes."""
    publish_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def read_json(path: Path | str) -> Any:
    """Read a JSON file. Errors: MissingInput if it is not there, BrokenArtifact if it is not JSON."""
    file = Path(path)
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MissingInput(f"{file} is not there") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise BrokenArtifact(f"{file} is not readable as JSON ({error}): remove it and run its step again") from None


def sha256_file(path: Path | str, block_bytes: int = 1 << 20) -> str:
    """Hex sha256 of a file, read in blocks."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as handle:
        while block := handle.read(block_bytes):
            digest.update(block)
    return digest.hexdigest()


def remove_drafts(folder: Path | str) -> int:
    """Remove what killed processes left in a folder (its own level). Returns how many drafts were there.

    Call it only where no other process writes to the folder.
    """
    root = Path(folder)
    drafts = [p for p in root.iterdir() if DRAFT_MARK in p.name] if root.is_dir() else []
    for path in drafts:
        _remove(path)
    return len(drafts)
