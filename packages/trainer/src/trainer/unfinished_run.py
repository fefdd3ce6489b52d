"""A run that goes on, or was stopped: what its newest checkpoint has learned, as the model folder of the run."""

from __future__ import annotations

from pathlib import Path

from contracts.config import read_yaml
from contracts.model_folder import is_model_folder, read_model_folder
from trainer.config.presets import load_pretrain_config
from trainer.config.pretrain import PretrainConfig
from trainer.engine.checkpoint import Checkpoint, load_tensors, newest_checkpoint
from trainer.engine.run_folder import RunFolder
from trainer.export.model_folder import ModelDescription, export_model
from trainer.methods.dinov2 import DinoV2
from trainer.pretrain import HIGH_RESOLUTION
from trainer.recipe import high_resolution_config, method_settings


def export_newest_checkpoint(spec: str) -> int | None:
    """Publish RUN/export from the newest checkpoint of an unfinished run of `trainer pretrain`, unless an export of
    that step or a later one is there.

    Returns the step that was exported; None for all that is no such run, or has no checkpoint yet.
    """
    run = RunFolder(Path(spec))
    if not run.config.is_file() or run.header.is_file():
        return None
    if set(read_yaml(run.config)) - set(PretrainConfig.model_fields):
        return None  # of another command
    config = load_pretrain_config(str(run.config))
    larger = high_resolution_config(config)
    found, _ = newest_checkpoint(RunFolder(run.root / HIGH_RESOLUTION).checkpoints)
    if found is not None and larger is not None:
        config = larger
    else:
        found, _ = newest_checkpoint(run.checkpoints)
    if found is None or _is_exported(config, found, run.export):
        return None
    _export(config, found, run.export)
    return found.step


def _is_exported(config: PretrainConfig, checkpoint: Checkpoint, export: Path) -> bool:
    """Whether the export is of this phase (which its crops tell) and no older."""
    if not is_model_folder(export):
        return False
    model = read_model_folder(export)
    of_phase = model.config.get("image_size") == config.crops.global_px
    return of_phase and int(model.provenance.get("step", -1)) >= checkpoint.step


def _export(config: PretrainConfig, checkpoint: Checkpoint, out: Path) -> None:
    method = DinoV2(method_settings(config))
    load_tensors(checkpoint, {"method": method.state_dict()})
    description = ModelDescription(
        name=config.model.arch,
        method="dinov2",
        step=checkpoint.step,
        config_sha256=str(checkpoint.fields["config_sha256"]),
        mean=config.crops.mean,
        std=config.crops.std,
        origin={"checkpoint": checkpoint.path.name},
    )
    export_model(method.result(), description, out)
