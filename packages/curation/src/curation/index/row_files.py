"""Arrays that processes share: .npy files in a scratch folder, mapped by whoever needs rows of them.

A worker gets the names of the files and the numbers of its rows, never the vectors, and memory holds what is being
looked at: the mapped pages are the file system's to drop. On a cluster the folder must be one that all nodes see, as
the workspace is.
"""

from __future__ import annotations

import mmap
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.publish import write_array

Array = NDArray[Any]


@contextmanager
def scratch_folder(folder: Path) -> Iterator[Path]:
    """An empty folder for the block; what a killed run left in it is removed first, the folder itself at the end."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def as_file(array: Array, file: Path) -> str:
    """The .npy file that an array maps whole; any other array is written to `file` first."""
    base: object = array.base
    if isinstance(array, np.memmap) and isinstance(base, mmap.mmap) and array.filename is not None:
        return str(array.filename)
    file.unlink(missing_ok=True)  # whoever maps what stood here keeps it
    write_array(file, array)
    return str(file)


def mapped(file: str | Path) -> Array:
    """The array of a .npy file, without reading it."""
    array: Array = np.load(file, mmap_mode="r", allow_pickle=False)
    return array


def row_ranges(rows: int, step: int) -> list[tuple[int, int]]:
    """(start, stop) of parts of `step` rows: they depend on the number of rows alone."""
    return [(start, min(rows, start + step)) for start in range(0, rows, step)]
