"""DataComp subset files as a filter: which uids a sorted NumPy array of dtype `u8,u8` names.

Each entry holds the two halves of a 128-bit hexadecimal uid. The file is mapped into memory, never unpickled.
Source: mlfoundations/datacomp, resharder.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contracts.errors import MissingInput, UserError

UID_DIGITS = 32
_HALVES = np.dtype("u8,u8")
_ROWS_CHECKED = 1 << 22


@dataclass(frozen=True)
class SubsetCounts:
    """What became of a subset: uids that the file names, those that the source has, and those that it lacks."""

    source: str
    file: str
    named: int
    found: int
    missing: int

    def line(self) -> str:
        """For a person."""
        return f"{self.file}: {self.found:,} of {self.named:,} uids are in {self.source}, {self.missing:,} are not"


class UidSubset:
    """A subset file. Errors: MissingInput, UserError (not a `u8,u8` array, names nothing)."""

    def __init__(self, file: str) -> None:
        self.file = file
        if not Path(file).is_file():
            raise MissingInput(f"there is no subset file {file}: give a .npy file of dtype u8,u8")
        try:
            halves = np.load(file, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError, OSError) as error:
            raise UserError(f"{file} is not a readable .npy file ({error}): give one of dtype u8,u8") from None
        if halves.dtype != _HALVES or halves.ndim != 1 or not len(halves):
            raise UserError(f"{file} holds {halves.dtype} {halves.shape}, wanted is a list of uids of dtype u8,u8")
        ordered, repeated = _order(halves)
        self._halves: NDArray[np.void] = halves if ordered and not repeated else np.unique(halves)
        self._found = np.zeros(len(self._halves), bool)

    def holds(self, ids: pa.Array) -> NDArray[np.bool_]:
        """Which ids the subset names; they count as found. Shapes: text [N] -> [N]."""
        good = pc.fill_null(is_uid(ids), False).to_numpy(zero_copy_only=False)
        held = np.zeros(len(ids), bool)
        asked = halves_of(ids.filter(pa.array(good)))
        if len(asked):
            place = np.minimum(np.searchsorted(self._halves, asked), len(self._halves) - 1)
            hit = self._halves[place] == asked
            held[np.flatnonzero(good)[hit]] = True
            self._found[place[hit]] = True
        return held

    def counts(self, source: str) -> SubsetCounts:
        """What was found so far."""
        found = int(self._found.sum())
        return SubsetCounts(source, self.file, len(self._halves), found, len(self._halves) - found)


def is_uid(ids: pa.Array) -> pa.Array:
    """Which texts are uids; null for null."""
    return pc.match_substring_regex(ids, rf"^[0-9a-fA-F]{{{UID_DIGITS}}}$")


def halves_of(uids: pa.Array) -> NDArray[np.void]:
    """Uids as `u8,u8`. Shapes: [N] texts of UID_DIGITS hexadecimal digits -> [N]."""
    raw = bytes.fromhex("".join(uids.to_pylist()))
    return np.frombuffer(raw, ">u8").astype("<u8").view(_HALVES)


def _order(halves: NDArray[Any]) -> tuple[bool, bool]:
    """(ascending, some repeated), in blocks of bounded size."""
    repeated = False
    for start in range(0, len(halves) - 1, _ROWS_CHECKED):
        some = np.asarray(halves[start : start + _ROWS_CHECKED + 1])
        high, low = some["f0"], some["f1"]
        same = high[1:] == high[:-1]
        if not ((high[1:] > high[:-1]) | (same & (low[1:] >= low[:-1]))).all():
            return False, False
        repeated = repeated or bool((same & (low[1:] == low[:-1])).any())
    return True, repeated
