"""A DataComp subset file: the uids of the chosen images, as its resharder and its baselines read them.

A sorted NumPy array of dtype `u8,u8`: the two halves of the 128-bit hexadecimal `uid`, which DataComp keeps in the
JSON beside each image of its tars and in its tables. Source: mlfoundations/datacomp, resharder.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contracts.errors import UserError
from contracts.publish import publish_array
from curation.sources.original_ids import ids_of
from curation.sources.uid_subset import UID_DIGITS, is_uid


@dataclass(frozen=True)
class SubsetReport:
    """How many of the samples have a uid and are in the file."""

    path: str
    written: int
    without_uid: int


def write_subset(file: Path, uris: Sequence[str]) -> SubsetReport:
    """Write the subset file of samples by their uri. Errors: UserError when none of them has a uid."""
    found = ids_of(pa.array(uris, pa.string()))
    found = found.filter(pc.fill_null(is_uid(found), False)).to_pylist()
    if not found:
        raise UserError(
            f"none of the {len(uris)} images comes from a DataComp tar or table (with a uid of {UID_DIGITS} digits), "
            f"so there is no subset to write to {file}"
        )
    publish_array(file, subset_array(found))
    return SubsetReport(str(file), len(found), len(uris) - len(found))


def subset_array(uids: Iterable[str]) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    """Sorted pairs of the two halves of each uid. Shapes: `u8,u8` [N]."""
    halves = [(int(uid[:16], 16), int(uid[16:], 16)) for uid in uids]
    return np.sort(np.array(halves, np.dtype("u8,u8")))
