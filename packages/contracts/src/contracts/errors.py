"""Errors that the user can mend. Everything else is our bug and keeps its traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """One sentence that tells what was found, what was wanted and what to do. Exit code 2."""


class ConfigError(UserError):
    """A configuration holds an unknown key, a wrong type or a value out of range."""


class MissingInput(UserError):
    """A file, folder, column or earlier step that this step needs is not there."""


class BrokenArtifact(UserError):
    """A file exists but is not what its header says: cut short, changed, or of another format."""


class NewerVersion(UserError):
    """An artifact was written by a newer Winnow than this one."""


def nearest_name(name: str, known: Iterable[str]) -> str:
    """A phrase that suggests the nearest known name, or lists the known names when none is near."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"known: {', '.join(names)}" if names else "nothing is known here"
