"""Rows of a .npy file (mapped into memory) or of one array of an .npz file (read in order), block by block.

Nothing is unpickled: an array of objects is refused.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from contracts.errors import UserError

_FLOATS = (np.float16, np.float32, np.float64)
Block = NDArray[np.floating[Any]]


class Rows(Protocol):
    """Vectors in a file. Shapes: [count, dim]."""

    count: int
    dim: int

    def block(self, start: int, stop: int) -> Block:
        """Rows start..stop; blocks are asked for in ascending order."""
        ...


class _Mapped:
    def __init__(self, file: Path) -> None:
        try:
            self._array: Block = np.load(file, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError, OSError) as error:
            raise UserError(f"{file} is not a readable .npy file of numbers ({error}): make it again") from None
        self.count, self.dim = _checked(file, self._array.shape, self._array.dtype)

    def block(self, start: int, stop: int) -> Block:
        return self._array[start:stop]


class _Zipped:
    """An array of an .npz file, stored or compressed, read as a stream."""

    def __init__(self, file: Path, handle: IO[bytes]) -> None:
        try:
            version = np.lib.format.read_magic(handle)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, self._dtype = read(handle)
        except ValueError as error:
            raise UserError(f"{file} is not a readable .npz file of numbers ({error}): make it again") from None
        self.count, self.dim = _checked(file, shape, self._dtype)
        if fortran and self.dim > 1:
            raise UserError(f"{file} holds its array column by column: save it in C order (np.ascontiguousarray)")
        self._file, self._handle, self._at = file, handle, 0

    def block(self, start: int, stop: int) -> Block:
        row_bytes = self.dim * self._dtype.itemsize
        self._handle.seek((start - self._at) * row_bytes, 1)
        data = self._handle.read((stop - start) * row_bytes)
        self._at = stop
        if len(data) != (stop - start) * row_bytes:
            raise UserError(f"{self._file} ends before its last row: fetch it again")
        return np.frombuffer(data, self._dtype).reshape(stop - start, self.dim)


@contextmanager
def open_rows(file: Path, array: str | None) -> Iterator[Rows]:
    """Open vectors. `array`: which one of an .npz file; None: the only one, or the only one of images (`*_img`).

    Errors: UserError (damaged, other shape or type, no such array).
    """
    if file.suffix.lower() == ".npy":
        yield _Mapped(file)
        return
    try:
        with zipfile.ZipFile(file) as opened, opened.open(_member(file, opened.namelist(), array)) as handle:
            yield _Zipped(file, handle)
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        raise UserError(f"{file} is not a readable .npz file ({error}): fetch it again") from None


def _member(file: Path, members: list[str], array: str | None) -> str:
    names = [member.removesuffix(".npy") for member in members if member.endswith(".npy")]
    wanted = [array] if array else names if len(names) == 1 else [name for name in names if name.endswith("_img")]
    if len(wanted) != 1 or wanted[0] not in names:
        raise UserError(f"{file} holds the arrays {', '.join(names) or '(none)'}: name the one to take with --array")
    return f"{wanted[0]}.npy"


def _checked(file: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> tuple[int, int]:
    if len(shape) != 2 or shape[1] == 0 or dtype.newbyteorder("=") not in _FLOATS:
        raise UserError(f"{file} holds {dtype} {shape}, wanted is a row of float16, float32 or float64 per image")
    return shape[0], shape[1]
