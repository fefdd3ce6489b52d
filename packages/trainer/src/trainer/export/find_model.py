"""Where a model is: a run, a model folder, or an id on the Hugging Face hub."""

from __future__ import annotations

import re
from pathlib import Path

from contracts.config import read_yaml
from contracts.errors import MissingInput
from contracts.model_folder import (
    BACKBONE_FILE,
    CONFIG_FILE,
    HEADS_FILE,
    PREPROCESSOR_FILE,
    PROVENANCE_FILE,
    is_model_folder,
)

EXPORT_FOLDER = "export"
CHECKPOINTS = "checkpoints"
CHECKPOINT_SUFFIXES = (".pth", ".pt", ".bin", ".ckpt", ".safetensors")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_FILES = [CONFIG_FILE, BACKBONE_FILE, PREPROCESSOR_FILE, HEADS_FILE, PROVENANCE_FILE]


def find_model(spec: Path | str, hub_cache: Path | None = None) -> Path:
    """The model folder that a name means; a hub id is downloaded (or taken from the hub's cache).

    Errors: MissingInput in one sentence when nothing is found.
    """
    path = Path(spec)
    if path.exists():
        return _local_model(path)
    if path.suffix in CHECKPOINT_SUFFIXES:
        raise MissingInput(f"there is no file {spec}: check its name")
    if not _HUB_ID.fullmatch(str(spec)):
        raise MissingInput(
            f"there is no model {spec}: name a run, a model folder or a Hugging Face hub id (owner/name)"
        )
    return _from_hub(str(spec), hub_cache)


def _local_model(path: Path) -> Path:
    if path.is_file():
        raise MissingInput(f"{path} is a file where a model folder was wanted: make one with `trainer import {path}`")
    if is_model_folder(path):
        return path
    export = path / EXPORT_FOLDER
    if is_model_folder(export):
        return export
    several = sorted(p for p in export.iterdir() if is_model_folder(p)) if export.is_dir() else []
    if len(several) == 1:
        return several[0]
    if several:
        names = ", ".join(str(p) for p in several)
        raise MissingInput(f"{path} holds several models: name one of {names}")
    if (path / "config.yaml").is_file():
        raise MissingInput(_without_model(path))
    if path.parent.name == CHECKPOINTS:
        raise MissingInput(f"{path} is a checkpoint, which only its run can read: name the run, {path.parent.parent}")
    raise MissingInput(f"{path} holds no model: wanted a run, or a folder with {CONFIG_FILE} and {BACKBONE_FILE}")


def _without_model(run: Path) -> str:
    """What to do about a run that has published nothing."""
    if not any((run / CHECKPOINTS).glob("step_*")):
        return f"the run {run} has no model yet, neither an export nor a checkpoint: run its command again to go on"
    tool = "distill" if "students" in read_yaml(run / "config.yaml") else "trainer"
    return (
        f"the run {run} is not finished and has published no model yet: run its command again to go on, or publish "
        f"what its newest checkpoint holds with `{tool} export {run} --out FOLDER`"
    )


def _from_hub(hub_id: str, cache: Path | None) -> Path:
    """Errors: MissingInput when there is no such folder and the hub does not give the model either."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(hub_id, allow_patterns=_FILES, cache_dir=cache, local_files_only=True))
    except Exception as error:  # not in the cache: ask the hub itself
        del error
    try:
        folder = Path(snapshot_download(hub_id, allow_patterns=_FILES, cache_dir=cache))
    except Exception as error:  # the hub's client lets through errors of whatever transport it uses
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160].rstrip(" .:")
        raise MissingInput(
            f"there is no folder {hub_id}, and the Hugging Face hub did not give a model of that name ({reason}): "
            "check the name and the connection, or name a folder that holds the model"
        ) from None
    if not is_model_folder(folder):
        raise MissingInput(f"the hub's {hub_id} has no {BACKBONE_FILE}: only models stored as safetensors are read")
    return folder
