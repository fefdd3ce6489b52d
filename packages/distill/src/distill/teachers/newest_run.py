"""The teacher that is meant when none is named: the newest pretrained model under ./runs."""

from __future__ import annotations

from pathlib import Path

from contracts.errors import MissingInput, UserError
from contracts.model_folder import PROVENANCE_FILE
from contracts.publish import read_json
from trainer.export.find_model import EXPORT_FOLDER

DISTILLED = "distillation"
"""What provenance.json calls the method of a distilled model: such a model is no teacher unless it is named."""


def newest_teacher(runs: Path) -> Path:
    """The run whose model was published last, distilled ones left out. Errors: MissingInput when there is none."""
    found = [
        (stamp.stat().st_mtime_ns, run)
        for run in (sorted(runs.iterdir()) if runs.is_dir() else [])
        if (stamp := run / EXPORT_FOLDER / PROVENANCE_FILE).is_file() and _method(stamp) != DISTILLED
    ]
    if not found:
        raise MissingInput(
            f"there is no pretrained model under {runs} to learn from: run `trainer pretrain` first, or name a run, a "
            "model folder or a hub id with --teacher"
        )
    return max(found)[1]


def _method(provenance: Path) -> str | None:
    try:
        said = read_json(provenance)
    except UserError:
        return None
    return said.get("method") if isinstance(said, dict) else None
