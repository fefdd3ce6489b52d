"""Header files: a folder is complete if and only if its header JSON exists; it is published last."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contracts import __version__
from contracts.errors import BrokenArtifact, MissingInput, NewerVersion
from contracts.publish import publish_json, read_json

MADE_BY = f"winnow {__version__}"


def write_header(
    path: Path | str, *, format_name: str, version: int, config_sha256: str, fields: Mapping[str, Any]
) -> None:
    """Publish a header. Call it after everything that it speaks of is published."""
    header = {"format": format_name, "version": version, "made_by": MADE_BY, "config_sha256": config_sha256}
    clash = header.keys() & fields.keys()
    if clash:
        raise ValueError(f"header fields {sorted(clash)} are reserved")
    publish_json(path, {**header, **fields})


def read_header(path: Path | str, *, format_name: str, version: int, made_with: str) -> dict[str, Any]:
    """Read and check a header.

    `made_with` names the command that makes the folder, for the message when it is missing.
    Errors: MissingInput (no header), BrokenArtifact (other format), NewerVersion (written by a newer Winnow).
    """
    file = Path(path)
    if not file.is_file():
        raise MissingInput(
            f"{file.parent} has no {file.name}, so it is missing or unfinished: make it with `{made_with}`"
        )
    header = read_json(file)
    if not isinstance(header, dict) or header.get("format") != format_name:
        found = header.get("format") if isinstance(header, dict) else type(header).__name__
        raise BrokenArtifact(f"{file} says format {found!r} where {format_name!r} was wanted")
    check_version(header.get("version"), version, file)
    return header


def check_version(found: Any, known: int, file: Path) -> None:
    """Refuse an artifact whose version is not a number or is newer than `known`."""
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise BrokenArtifact(f"{file} says version {found!r} where a number from 1 to {known} was wanted")
    if found > known:
        raise NewerVersion(f"{file} has version {found} and this Winnow reads up to {known}: upgrade Winnow to read it")
