"""The default dataset: built from the workspace when `curate build` was not run yet."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from contracts.errors import MissingInput, UserError
from contracts.remote_files import is_remote


def ensure_dataset(place: str, say: Callable[[str], None]) -> None:
    """Build `<workspace>/dataset` with `curate build` when the workspace has a catalogue and no dataset yet.

    Errors: MissingInput when there is neither dataset nor catalogue, UserError when building fails.
    """
    path = Path(place)
    if is_remote(place) or path.exists() or path.name != "dataset":
        return
    workspace = path.parent
    if not (workspace / "catalog").is_dir():
        raise MissingInput(
            f"there is no dataset {path} and no catalogue in {workspace} to build one from: run `curate init POOL` and "
            "`curate ingest`, or name images with --data"
        )
    curate = _curate()
    if curate is None:
        raise MissingInput(f"there is no dataset {path}: run `curate build -w {workspace}` where curate is installed")
    say(f"there is no {path} yet: building it with `curate build -w {workspace}`")
    done = subprocess.run([curate, "build", "-w", str(workspace)], stdout=sys.stderr, check=False)
    if done.returncode or not path.exists():
        raise UserError(f"`curate build -w {workspace}` ended with exit code {done.returncode}: see its message above")


def _curate() -> str | None:
    """The curate command beside this Python, else the one on the PATH."""
    beside = Path(sys.executable).parent / "curate"
    return str(beside) if beside.is_file() else shutil.which("curate")
