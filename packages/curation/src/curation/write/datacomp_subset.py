"""A DataComp subset file: the uids of the chosen images, as its resharder and its baselines read them.

A sorted NumPy array of dtype `u8,u8`: the two halves of the 128-bit hexadecimal `uid`, which DataComp keeps in the
JSON beside each image of its tars. Source: mlfoundations/datacomp, resharder.py.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from contracts.errors import UserError
from contracts.publish import draft
from curation.sources.uri import split_uri

UID_DIGITS = 32


@dataclass(frozen=True)
class SubsetReport:
    """How many of the samples have a uid and are in the file."""

    path: str
    written: int
    without_uid: int


def write_subset(file: Path, uris: Iterable[str]) -> SubsetReport:
    """Write the subset file of samples by their uri. Errors: UserError when none of them has a uid."""
    wanted: dict[str, set[str]] = {}
    asked = 0
    for uri in uris:
        archive, member = split_uri(uri)
        asked += 1
        if member is not None:
            wanted.setdefault(archive, set()).add(_stem(member))
    found = [uid for archive in sorted(wanted) for uid in _uids(archive, wanted[archive])]
    if not found:
        raise UserError(
            f"none of the {asked} images comes from a DataComp tar (whose JSON has a uid of {UID_DIGITS} digits), so "
            f"there is no subset to write to {file}"
        )
    with draft(file) as rough, rough.open("wb") as handle:
        np.save(handle, subset_array(found), allow_pickle=False)
    return SubsetReport(str(file), len(found), asked - len(found))


def subset_array(uids: Iterable[str]) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    """Sorted pairs of the two halves of each uid. Shapes: `u8,u8` [N]."""
    halves = [(int(uid[:16], 16), int(uid[16:], 16)) for uid in uids]
    return np.sort(np.array(halves, np.dtype("u8,u8")))


def _stem(member: str) -> str:
    """WebDataset's key of a member: its path up to the first dot of the file name."""
    path = PurePosixPath(member)
    return str(path.with_name(path.name.partition(".")[0]))


def _uids(archive: str, stems: set[str]) -> list[str]:
    if not Path(archive).is_file():
        return []
    found = []
    with tarfile.open(archive, "r:") as tar:
        for member in tar:
            if member.name.endswith(".json") and _stem(member.name) in stems and (handle := tar.extractfile(member)):
                uid = _uid(handle.read())
                found += [uid] if uid else []
    return found


def _uid(data: bytes) -> str | None:
    try:
        values = json.loads(data)
    except (UnicodeDecodeError, json.JSONDecodeError):
        return None
    uid = values.get("uid") if isinstance(values, dict) else None
    is_uid = isinstance(uid, str) and len(uid) == UID_DIGITS and set(uid.lower()) <= set("0123456789abcdef")
    return uid if is_uid else None
