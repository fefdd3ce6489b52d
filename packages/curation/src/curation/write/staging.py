"""A dataset folder is built beside the final one and takes its place when it is whole.

    dataset.building-<plan>/    shards published one by one; a rerun of the same plan goes on here
    dataset.replaced/           the old folder, for the moment between two renames

A kill leaves the old dataset, or the new one, or (between the two renames) both beside the name; `recover` then ends
what was begun.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from contracts.dataset_folder import HEADER
from contracts.errors import UserError
from contracts.publish import disk_is_full, fsync_folder, remove_drafts

_BUILDING, _REPLACED = ".building-", ".replaced"


def staging_folder(final: Path, plan_id: str) -> Path:
    """The folder in which a plan is built; folders of other plans, left by killed runs, are removed."""
    recover(final)
    folder = final.with_name(f"{final.name}{_BUILDING}{plan_id[:16]}")
    for other in final.parent.glob(f"{_escaped(final.name)}{_BUILDING}*"):
        if other != folder:
            shutil.rmtree(other)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if disk_is_full(error):
            raise  # the command says so, as of any other folder
        raise UserError(f"{final} cannot be written ({error.strerror}): choose another folder with --out") from None
    remove_drafts(folder)
    return folder


def take_place(staged: Path, final: Path) -> None:
    """Put a complete folder in the place of the old one."""
    replaced = final.with_name(final.name + _REPLACED)
    if final.exists():
        final.replace(replaced)
    staged.replace(final)
    fsync_folder(final.parent)
    shutil.rmtree(replaced, ignore_errors=True)


def recover(final: Path) -> None:
    """End a replacement that was cut off between its renames: the complete new folder, else the old one, stays."""
    replaced = final.with_name(final.name + _REPLACED)
    if not replaced.exists():
        return
    if final.exists():
        shutil.rmtree(replaced)
        return
    staged = [p for p in final.parent.glob(f"{_escaped(final.name)}{_BUILDING}*") if (p / HEADER).is_file()]
    if len(staged) == 1:
        take_place(staged[0], final)
        shutil.rmtree(replaced, ignore_errors=True)
    else:
        replaced.replace(final)


def _escaped(name: str) -> str:
    """A file name as a glob pattern that matches it alone."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)
