"""Where a model may be written: a folder that it replaces whole, so never one that holds anything else."""

from __future__ import annotations

from pathlib import Path

from contracts.errors import UserError
from contracts.model_folder import BACKBONE_FILE, CONFIG_FILE, HEADS_FILE, PREPROCESSOR_FILE, PROVENANCE_FILE

OFFICIAL_FILE, TEACHER_FILE, ONNX_FILE = "pretrain.pth", "teacher_checkpoint.pth", "model.onnx"
_OURS = {CONFIG_FILE, BACKBONE_FILE, PREPROCESSOR_FILE, HEADS_FILE, PROVENANCE_FILE}
_OURS |= {OFFICIAL_FILE, TEACHER_FILE, ONNX_FILE}


def check_output_folder(out: Path) -> None:
    """Errors: UserError for a file, or a folder with anything in it that no export writes."""
    if out.is_file():
        raise UserError(f"{out} is a file where a folder was wanted: name another with --out")
    others = sorted(path.name for path in out.iterdir() if path.name not in _OURS) if out.is_dir() else []
    if others:
        raise UserError(
            f"{out} holds {others[0]}{' and more' if len(others) > 1 else ''}, which would be lost, since a model is "
            "written as a whole folder: name a new one with --out"
        )
